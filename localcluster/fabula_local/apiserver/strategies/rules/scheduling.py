"""Where a pod may run: tolerations, affinity, spreading, gates.

Rules: k8s.io/kubernetes/pkg/apis/core/validation ValidateTolerations, validateAffinity and their neighbours.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fabula_local.apiserver.metadata import check_labels
from fabula_local.apiserver.names import label_value_error, qualified_error
from fabula_local.schema.errors import FieldError, duplicate, forbidden, invalid, not_supported, required

Object = Mapping[str, Any]

_EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"]
_MATCH_ALL = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
_LIST, _NONE, _SINGLE = ("In", "NotIn"), ("Exists", "DoesNotExist"), ("Gt", "Lt")
_NEEDED = "requiredDuringSchedulingIgnoredDuringExecution"
_WISHED = "preferredDuringSchedulingIgnoredDuringExecution"


def scheduling_rules(spec: Object, path: str) -> Iterator[FieldError]:
    """All that a PodSpec says of the node it wants."""
    yield from check_labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    yield from _affinity(spec.get("affinity") or {}, f"{path}.affinity")
    yield from _gates(spec.get("schedulingGates") or (), f"{path}.schedulingGates")
    yield from _spreading(spec.get("topologySpreadConstraints") or (), f"{path}.topologySpreadConstraints")
    yield from toleration_rules(spec.get("tolerations") or (), f"{path}.tolerations")


def toleration_rules(tolerations: Sequence[Object], path: str) -> Iterator[FieldError]:
    """ValidateTolerations."""
    for index, toleration in enumerate(tolerations):
        here = f"{path}[{index}]"
        key, value = toleration.get("key") or "", toleration.get("value") or ""
        operator, effect = toleration.get("operator") or "", toleration.get("effect") or ""
        if key and (why := qualified_error(key)):
            yield invalid(f"{here}.key", key, why)
        if not key and operator != "Exists":
            yield invalid(f"{here}.operator", operator, _MATCH_ALL)
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            yield invalid(f"{here}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
        if operator in ("Equal", ""):
            if why := label_value_error(value):
                yield invalid(f"{here}.operator", value, why)
        elif operator == "Exists":
            if value:
                yield invalid(f"{here}.operator", value, "value must be empty when `operator` is 'Exists'")
        else:
            yield not_supported(f"{here}.operator", operator, ["Equal", "Exists"])
        if effect and effect not in _EFFECTS:
            yield not_supported(f"{here}.effect", effect, _EFFECTS)


def _affinity(affinity: Object, path: str) -> Iterator[FieldError]:
    node, here = affinity.get("nodeAffinity") or {}, f"{path}.nodeAffinity"
    if (needed := node.get(_NEEDED)) is not None:
        terms = needed.get("nodeSelectorTerms") or ()
        if not terms:
            yield required(f"{here}.{_NEEDED}.nodeSelectorTerms", "must have at least one node selector term")
        for index, term in enumerate(terms):
            yield from _node_term(term, f"{here}.{_NEEDED}.nodeSelectorTerms[{index}]")
    for index, wish in enumerate(node.get(_WISHED) or ()):
        yield from _weight(wish, f"{here}.{_WISHED}[{index}]")
        yield from _node_term(wish.get("preference") or {}, f"{here}.{_WISHED}[{index}].preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        pod, here = affinity.get(kind) or {}, f"{path}.{kind}"
        for index, term in enumerate(pod.get(_NEEDED) or ()):
            yield from _pod_term(term, f"{here}.{_NEEDED}[{index}]")
        for index, wish in enumerate(pod.get(_WISHED) or ()):
            yield from _weight(wish, f"{here}.{_WISHED}[{index}]")
            yield from _pod_term(wish.get("podAffinityTerm") or {}, f"{here}.{_WISHED}[{index}].podAffinityTerm")


def _weight(wish: Object, path: str) -> Iterator[FieldError]:
    if not 1 <= (weight := wish.get("weight") or 0) <= 100:
        yield invalid(f"{path}.weight", weight, "must be in the range 1-100")


def _node_term(term: Object, path: str) -> Iterator[FieldError]:
    for index, rule in enumerate(term.get("matchExpressions") or ()):
        here = f"{path}.matchExpressions[{index}]"
        operator, values = rule.get("operator"), rule.get("values") or ()
        if operator in _LIST and not values:
            yield required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in _NONE and values:
            yield forbidden(f"{here}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        elif operator in _SINGLE and len(values) != 1:
            yield required(f"{here}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
        elif operator not in (*_LIST, *_NONE, *_SINGLE):
            yield invalid(f"{here}.operator", operator or "", "not a valid selector operator")
        if why := qualified_error(rule.get("key") or ""):
            yield invalid(f"{here}.key", rule.get("key") or "", why)


def _pod_term(term: Object, path: str) -> Iterator[FieldError]:
    if not term.get("topologyKey"):
        yield required(f"{path}.topologyKey", "can not be empty")
    elif why := qualified_error(term["topologyKey"]):
        yield invalid(f"{path}.topologyKey", term["topologyKey"], why)
    if (selector := term.get("labelSelector")) is not None:
        yield from label_selector_rules(selector, f"{path}.labelSelector")


def label_selector_rules(selector: Object, path: str) -> Iterator[FieldError]:
    """ValidateLabelSelector."""
    yield from check_labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for index, rule in enumerate(selector.get("matchExpressions") or ()):
        here = f"{path}.matchExpressions[{index}]"
        operator, values = rule.get("operator"), rule.get("values") or ()
        if operator in _LIST and not values:
            yield required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in _NONE and values:
            yield forbidden(f"{here}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        elif operator not in (*_LIST, *_NONE):
            yield invalid(f"{here}.operator", operator or "", "not a valid selector operator")
        if why := qualified_error(rule.get("key") or ""):
            yield invalid(f"{here}.key", rule.get("key") or "", why)


def _gates(gates: Sequence[Object], path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, gate in enumerate(gates):
        name = gate.get("name") or ""
        if why := qualified_error(name):
            yield invalid(f"{path}[{index}]", name, why)
        if name in seen:
            yield duplicate(f"{path}[{index}]", name)
        seen.add(name)


def _spreading(constraints: Sequence[Object], path: str) -> Iterator[FieldError]:
    for index, rule in enumerate(constraints):
        here = f"{path}[{index}]"
        if (skew := rule.get("maxSkew") or 0) <= 0:
            yield invalid(f"{here}.maxSkew", skew, "must be greater than zero")
        if not rule.get("topologyKey"):
            yield required(f"{here}.topologyKey", "can not be empty")
        when, allowed = rule.get("whenUnsatisfiable") or "", ["DoNotSchedule", "ScheduleAnyway"]
        if when not in allowed:
            yield not_supported(f"{here}.whenUnsatisfiable", when, allowed)
        if (selector := rule.get("labelSelector")) is not None:
            yield from label_selector_rules(selector, f"{here}.labelSelector")
