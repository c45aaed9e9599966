"""A Job's spec and the changes it may see. Rules: k8s.io/kubernetes/pkg/apis/batch/validation."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from fabula_local.apiserver.names import dns_label_error, qualified_error
from fabula_local.apiserver.strategies.rules.failure_policies import failure_policy_rules, success_policy_rules
from fabula_local.apiserver.strategies.rules.numbers import nonnegative
from fabula_local.apiserver.strategies.rules.pods import template_rules
from fabula_local.apiserver.strategies.rules.scheduling import label_selector_rules
from fabula_local.schema.errors import FieldError, invalid, not_supported, required
from fabula_local.schema.selectors import match_label_selector

Object = Mapping[str, Any]

MOST_INDEXES = 100_000
"""Parallelism and failed indexes that an Indexed Job may ask for."""
_NUMBERS = (
    *("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"),
    *("backoffLimitPerIndex", "maxFailedIndexes"),
)
_NEEDS_INDEXES = "requires indexed completion mode"
_MODES, _REPLACEMENTS = ["NonIndexed", "Indexed"], ["Failed", "TerminatingOrFailed"]
_STEERABLE = ("nodeSelector", "tolerations", "schedulingGates")


def job_rules(job: Object) -> Iterator[FieldError]:
    """ValidateJob: a Job as a whole."""
    spec, metadata = job.get("spec") or {}, job["metadata"]
    yield from _generated_selector(spec, metadata)
    yield from _spec(spec, "spec")
    if spec.get("completionMode") == "Indexed" and (completions := spec.get("completions") or 0) > 0:
        host = f"{metadata['name']}-{completions - 1}"
        if dns_label_error(host):
            yield invalid(
                "metadata.name", metadata["name"], f"will not able to create pod with invalid DNS label: {host}"
            )


def _generated_selector(spec: Object, metadata: Object) -> Iterator[FieldError]:
    """validateGeneratedSelector: without manualSelector the server makes the selector, and nobody adds to it."""
    selector = spec.get("selector")
    if spec.get("manualSelector") or not selector:
        return
    labels = {"batch.kubernetes.io/controller-uid": metadata["uid"], "controller-uid": metadata["uid"]}
    labels |= {"batch.kubernetes.io/job-name": metadata["name"], "job-name": metadata["name"]}
    if not match_label_selector(selector)(labels):
        yield invalid("spec.selector", selector, "`selector` not auto-generated")


def _spec(spec: Object, path: str) -> Iterator[FieldError]:
    template = spec.get("template") or {}
    yield from nonnegative(spec, path, *_NUMBERS)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        yield required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if (manager := spec.get("managedBy")) is not None and (why := qualified_error(manager)):
        yield invalid(f"{path}.managedBy", manager, why)
    yield from _completion_mode(spec, path)
    if spec.get("podFailurePolicy") is not None:
        yield from failure_policy_rules(spec, f"{path}.podFailurePolicy")
    if (policy := spec.get("successPolicy")) is not None:
        if spec.get("completionMode") == "Indexed":
            yield from success_policy_rules(policy, spec.get("completions") or 0, f"{path}.successPolicy")
        else:
            yield invalid(f"{path}.successPolicy", policy, _NEEDS_INDEXES)
    yield from _replacement(spec, f"{path}.podReplacementPolicy")
    yield from template_rules(template, f"{path}.template")
    yield from _restart_policy(spec, f"{path}.template.spec.restartPolicy")
    yield from _selector(spec, template, path)


def _completion_mode(spec: Object, path: str) -> Iterator[FieldError]:
    mode, failed, completions = spec.get("completionMode"), spec.get("maxFailedIndexes"), spec.get("completions")
    if mode not in (*_MODES, None):
        yield not_supported(f"{path}.completionMode", mode, _MODES)
    if mode == "Indexed":
        if completions is None:
            yield required(f"{path}.completions", "when completion mode is Indexed")
        if (parallelism := spec.get("parallelism") or 0) > MOST_INDEXES:
            why = f"must be less than or equal to {MOST_INDEXES} when completion mode is Indexed"
            yield invalid(f"{path}.parallelism", parallelism, why)
        if failed is not None and completions is not None and failed > completions:
            yield invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions")
        if failed is not None and failed > MOST_INDEXES:
            yield invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {MOST_INDEXES}")
        return
    for key in ("backoffLimitPerIndex", "maxFailedIndexes"):
        if (value := spec.get(key)) is not None:
            yield invalid(f"{path}.{key}", value, _NEEDS_INDEXES)


def _replacement(spec: Object, path: str) -> Iterator[FieldError]:
    policy = spec.get("podReplacementPolicy")
    allowed = ["Failed"] if spec.get("podFailurePolicy") is not None else _REPLACEMENTS
    if policy is not None and policy not in allowed:
        yield not_supported(path, policy, allowed)


def _restart_policy(spec: Object, path: str) -> Iterator[FieldError]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy")
    if policy in ("Always", "", None):
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield not_supported(path, policy, ["OnFailure", "Never"])
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        yield invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _selector(spec: Object, template: Object, path: str) -> Iterator[FieldError]:
    selector = spec.get("selector")
    if selector is None:
        yield required(f"{path}.selector")
        return
    wrong = list(label_selector_rules(selector, f"{path}.selector"))
    yield from wrong
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not wrong and not match_label_selector(selector)(labels):
        yield invalid(f"{path}.template.metadata.labels", labels, "`selector` does not match template `labels`")


def steered_template(new: Object, old: Object) -> dict[str, Any]:
    """The old template with what a suspended Job that never started may still change, taken from the new one."""
    result: dict[str, Any] = copy.deepcopy(dict(old))
    for part, keys in (("metadata", ("labels", "annotations")), ("spec", _STEERABLE)):
        for key in keys:
            _take(result.setdefault(part, {}), new.get(part) or {}, key)
    affinity = (new.get("spec") or {}).get("affinity")
    kept = {key: value for key, value in (result["spec"].pop("affinity", None) or {}).items() if key != "nodeAffinity"}
    wanted = (affinity or {}).get("nodeAffinity")
    if affinity is not None or kept:
        result["spec"]["affinity"] = kept | ({"nodeAffinity": wanted} if wanted is not None else {})
    return result


def _take(target: dict[str, Any], source: Object, key: str) -> None:
    target.pop(key, None)
    if key in source:
        target[key] = source[key]
