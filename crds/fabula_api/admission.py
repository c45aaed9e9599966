"""Who may write what into a spec: a ValidatingAdmissionPolicy, so that creating runs is not the right to do everything.

The operator makes pods for whoever creates a run. So what a run takes (a Secret, an identity, a program of its own)
needs the right that its author would need without Fabula. The API server asks its authorizer, for the author, at each
write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fabula_api.base import GROUP, VERSION, camel
from fabula_api.fields import fields_named
from fabula_api.recipes import API_KINDS, recipes
from fabula_api.specs import spec_type

POLICY = "fabula-runs"
PARAMETERS = "fabula-admission"
"""ConfigMap with the lists of what everybody may name: `endpoints` and `priorityClasses`, one in each line."""
USE = "use"
"""Verb on `serviceaccounts` of our group that lets runs take a ServiceAccount, and nothing else."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One field that needs a right or has to stand in a list."""

    field: str
    """Path below the object, such as `spec.secretRef`."""
    allowed: str
    """CEL, true where the author may write `value`, the field's new value; not asked where the field did not change."""
    message: str


def _may(verb: str, resource: str, *, group: str = "", name: str | None = None) -> str:
    named = "" if name is None else f".name({name})"
    asked = f"authorizer.group('{group}').resource('{resource}').namespace(request.namespace){named}"
    return f"{asked}.check('{verb}').allowed()"


def _listed(key: str, entry: str) -> str:
    lines = f"(params != null && has(params.data) && '{key}' in params.data ? params.data['{key}'] : '').split('\\n')"
    return f"{lines}.map(one, one.trim()).exists(one, one != '' && ({entry}))"


def _endpoint_fields() -> list[str]:
    """Fields with the address of a provider, in the specs of all installed recipes."""
    models = {spec_type(kind, recipe) for kind in API_KINDS for recipe in recipes()}
    return sorted({f"spec.{camel(path)}" for model in models for path in fields_named(model, "endpoint_url")})


_PODS = _may("create", "pods")
_BELOW = "VALUE == one || VALUE.startsWith(one + '/')"
_ENDPOINT = f"VALUE.startsWith('https://') && {_listed('endpoints', _BELOW)}"
RULES = (
    Rule(
        "spec.secretRef",
        _may("get", "secrets", name="VALUE.name"),
        "spec.secretRef: you may not get that Secret, so no run of yours may",
    ),
    Rule(
        "spec.serviceAccountName",
        f"{_may('impersonate', 'serviceaccounts', name='VALUE')}"
        f" || {_may(USE, 'serviceaccounts', group=GROUP, name='VALUE')}",
        f"spec.serviceAccountName: you may neither impersonate that ServiceAccount nor {USE} it"
        f" (verb {USE}, resource serviceaccounts, group {GROUP})",
    ),
    Rule("spec.template.command", _PODS, "spec.template.command: a program of your own needs the right to create pods"),
    Rule("spec.template.args", _PODS, "spec.template.args: arguments of your own need the right to create pods"),
    Rule("spec.template.image", _PODS, "spec.template.image: an image of your own needs the right to create pods"),
    Rule("spec.template.env", _PODS, "spec.template.env: variables of your own need the right to create pods"),
    *(
        Rule(
            field,
            _ENDPOINT,
            f"{field}: it is not https, or not among `endpoints` of ConfigMap {PARAMETERS}",
        )
        for field in _endpoint_fields()
    ),
    Rule(
        "spec.scheduling.priorityClassName",
        _listed("priorityClasses", "VALUE == one"),
        f"spec.scheduling.priorityClassName: it is not among `priorityClasses` of ConfigMap {PARAMETERS}",
    ),
)


def expression(rule: Rule) -> str:
    """The rule as CEL: the field is not there, is as it was, or may be written. Of a list, that holds of each entry,
    and the one that it is compared with has the same name."""
    if "[]." in rule.field:
        return _of_each(rule)
    value, before = f"object.{rule.field}", f"oldObject.{rule.field}"
    same = f"oldObject != null && {_there(before)} && {before} == {value}"
    return f"!({_there(value)}) || ({same}) || ({rule.allowed.replace('VALUE', value)})"


def _of_each(rule: Rule) -> str:
    path, _, field = rule.field.partition("[].")
    entries, before = f"object.{path}", f"oldObject.{path}"
    is_same = f"former.name == each.name && has(former.{field}) && former.{field} == each.{field}"
    same = f"oldObject != null && {_there(before)} && {before}.exists(former, {is_same})"
    allowed = rule.allowed.replace("VALUE", f"each.{field}")
    return f"!({_there(entries)}) || {entries}.all(each, !has(each.{field}) || ({same}) || ({allowed}))"


def _there(path: str) -> str:
    """Whether a field is there: every step to it, since a step beyond one that is missing is an error."""
    parts = path.split(".")
    return " && ".join(f"has({'.'.join(parts[:length])})" for length in range(2, len(parts) + 1))


def policy(name: str = POLICY) -> dict[str, Any]:
    """The policy. A cluster that cannot judge it refuses the write."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [GROUP],
                        "apiVersions": [VERSION],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": sorted(kind.plural for kind in API_KINDS.values()),
                    }
                ]
            },
            "validations": [
                {"expression": expression(rule), "message": rule.message, "reason": "Forbidden"} for rule in RULES
            ],
        },
    }


def binding(namespace: str, name: str = POLICY) -> dict[str, Any]:
    """Puts the policy into force, with the lists in a ConfigMap of the operator's namespace; without one, nothing is
    listed."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "paramRef": {"name": PARAMETERS, "namespace": namespace, "parameterNotFoundAction": "Deny"},
        },
    }


def parameters(namespace: str) -> dict[str, Any]:
    """The ConfigMap with the lists, empty."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": PARAMETERS, "namespace": namespace},
        "data": {"endpoints": "", "priorityClasses": ""},
    }


def installation(namespace: str = "fabula-system") -> list[dict[str, Any]]:
    """All that a cluster needs to have the policy in force."""
    return [parameters(namespace), policy(), binding(namespace)]
