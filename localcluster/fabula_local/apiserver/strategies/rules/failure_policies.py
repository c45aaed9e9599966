"""When a Job ends early.

Rules: k8s.io/kubernetes/pkg/apis/batch/validation validatePodFailurePolicy and validateSuccessPolicy.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from fabula_local.apiserver.names import qualified_error
from fabula_local.apiserver.strategies.rules.numbers import nonnegative
from fabula_local.schema.errors import OMITTED, FieldError, duplicate, invalid, not_supported, required, too_many

Object = Mapping[str, Any]

_ACTIONS = ["Count", "FailIndex", "FailJob", "Ignore"]
_OPERATORS, _STATUSES = ["In", "NotIn"], ["False", "True", "Unknown"]
_MOST_RULES, _MOST_CODES = 20, 255
_UNKNOWN_CONTAINER = "must be one of the container or initContainer names in the pod template"


def failure_policy_rules(spec: Object, path: str) -> Iterator[FieldError]:
    """Each rule has an action and one way to recognise a failure."""
    rules = spec["podFailurePolicy"].get("rules") or ()
    if len(rules) > _MOST_RULES:
        yield too_many(f"{path}.rules", len(rules), _MOST_RULES)
    for index, rule in enumerate(rules):
        here = f"{path}.rules[{index}]"
        yield from _action(rule, spec, f"{here}.action")
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if codes is not None:
            yield from _exit_codes(codes, spec, f"{here}.onExitCodes")
        if conditions:
            yield from _conditions(conditions, f"{here}.onPodConditions")
        if codes is not None and conditions:
            yield invalid(here, OMITTED, "specifying both OnExitCodes and OnPodConditions is not supported")
        if codes is None and not conditions:
            yield invalid(here, OMITTED, "specifying one of OnExitCodes and OnPodConditions is required")


def _listed(values: list[str]) -> str:
    return "valid values: [" + " ".join(f'"{value}"' for value in values) + "]"


def _action(rule: Object, spec: Object, path: str) -> Iterator[FieldError]:
    action = rule.get("action")
    if not action:
        yield required(path, _listed(_ACTIONS))
    elif action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        yield invalid(path, action, "requires the backoffLimitPerIndex to be set")
    elif action not in _ACTIONS:
        yield not_supported(path, action, _ACTIONS)


def _exit_codes(codes: Object, spec: Object, path: str) -> Iterator[FieldError]:
    operator, values = codes.get("operator"), codes.get("values") or []
    if not operator:
        yield required(f"{path}.operator", _listed(_OPERATORS))
    elif operator not in _OPERATORS:
        yield not_supported(f"{path}.operator", operator, _OPERATORS)
    name = codes.get("containerName")
    if name is not None and name not in _container_names(spec):
        yield invalid(f"{path}.containerName", name, _UNKNOWN_CONTAINER)
    if not values:
        yield invalid(f"{path}.values", values, "at least one value is required")
    elif len(values) > _MOST_CODES:
        yield too_many(f"{path}.values", len(values), _MOST_CODES)
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            yield invalid(f"{path}.values[{index}]", value, "must not be 0 for the In operator")
        if value in values[:index]:
            yield duplicate(f"{path}.values[{index}]", value)
    if any(earlier > later for earlier, later in pairwise(values)):
        yield invalid(f"{path}.values", values, "must be ordered")


def _container_names(spec: Object) -> set[str]:
    pod = (spec.get("template") or {}).get("spec") or {}
    return {container.get("name", "") for key in ("containers", "initContainers") for container in pod.get(key) or ()}


def _conditions(conditions: list[Object], path: str) -> Iterator[FieldError]:
    if len(conditions) > _MOST_RULES:
        yield too_many(path, len(conditions), _MOST_RULES)
    for index, pattern in enumerate(conditions):
        kind, status = pattern.get("type") or "", pattern.get("status")
        if why := qualified_error(kind):
            yield invalid(f"{path}[{index}].type", kind, why)
        if not status:
            yield required(f"{path}[{index}].status", _listed(_STATUSES))
        elif status not in _STATUSES:
            yield not_supported(f"{path}[{index}].status", status, _STATUSES)


def success_policy_rules(policy: Object, completions: int, path: str) -> Iterator[FieldError]:
    """Each rule says which indexes, or how many, are enough. The form of `succeededIndexes` is not checked."""
    rules = policy.get("rules") or ()
    if not rules:
        yield required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > _MOST_RULES:
        yield too_many(f"{path}.rules", len(rules), _MOST_RULES)
    for index, rule in enumerate(rules):
        here = f"{path}.rules[{index}]"
        count = rule.get("succeededCount")
        if count is None and rule.get("succeededIndexes") is None:
            yield required(here, "at least one of succeededCount or succeededIndexes must be specified")
        yield from nonnegative(rule, here, "succeededCount")
        if count is not None and count > completions:
            why = f"must be less than or equal to {completions} (the number of specified completions)"
            yield invalid(f"{here}.succeededCount", count, why)
