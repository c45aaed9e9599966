"""Label and field selectors, from query parameters and from LabelSelector objects.

Grammar: k8s.io/apimachinery labels.Parse and fields.ParseSelector.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Labels = Mapping[str, str]
LabelMatch = Callable[[Labels], bool]

_KEY = r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_REQUIREMENT = re.compile(
    rf"""\s*(?:
        (?P<absent>!)\s*(?P<absent_key>{_KEY})
      | (?P<key>{_KEY})\s*(?:
            (?P<op>==|=|!=|>|<)\s*(?P<value>{_VALUE})
          | \s(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
        )?
    )\s*(?:,|$)""",
    re.VERBOSE,
)


class SelectorError(ValueError):
    """A selector that cannot be read; the server answers 400."""


def parse_label_selector(text: str) -> LabelMatch:
    """A test for labels from text such as "a=b,c in (x,y),!d,e!=f,g>1". Raises SelectorError."""
    tests: list[LabelMatch] = []
    position = 0
    stripped = text.strip()
    while position < len(stripped):
        match = _REQUIREMENT.match(stripped, position)
        if not match or match.end() == position:
            raise SelectorError(f"unable to parse requirement: found {stripped[position:]!r} in selector {text!r}")
        tests.append(_requirement(match))
        position = match.end()
    return _all(tests)


def _requirement(match: re.Match[str]) -> LabelMatch:
    if match["absent"]:
        return _rule(match["absent_key"], "DoesNotExist", frozenset())
    key = match["key"]
    if match["set"]:
        values = frozenset(value.strip() for value in match["values"].split(","))
        return _rule(key, "In" if match["set"] == "in" else "NotIn", values)
    operator = {"=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt", None: "Exists"}[match["op"]]
    return _rule(key, operator, frozenset((match["value"],)))


def match_label_selector(selector: Mapping[str, Any] | None) -> LabelMatch:
    """A test for labels from a LabelSelector: None matches nothing, an empty one everything. Raises SelectorError."""
    if selector is None:
        return lambda labels: False
    tests = [_rule(key, "In", frozenset((value,))) for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or []:
        tests.append(_rule(rule.get("key", ""), rule.get("operator", ""), frozenset(rule.get("values") or ())))
    return _all(tests)


def _all(tests: list[LabelMatch]) -> LabelMatch:
    if len(tests) == 1:
        return tests[0]
    return lambda labels: all(test(labels) for test in tests)


def _rule(key: str, operator: str, values: frozenset[str]) -> LabelMatch:
    if operator == "In":
        if len(values) == 1:
            (only,) = values
            return lambda labels: labels.get(key) == only
        return lambda labels: labels.get(key) in values
    if operator == "NotIn":
        return lambda labels: labels.get(key) not in values
    if operator == "Exists":
        return lambda labels: key in labels
    if operator == "DoesNotExist":
        return lambda labels: key not in labels
    if operator in ("Gt", "Lt"):
        return _number_rule(key, operator, values)
    raise SelectorError(f'"{operator}" is not a valid label selector operator')


def _number_rule(key: str, operator: str, values: frozenset[str]) -> LabelMatch:
    try:
        (limit,) = (int(value) for value in values)
    except ValueError as problem:
        raise SelectorError("for 'Gt', 'Lt' operators, the value must be an integer") from problem

    def check(labels: Labels) -> bool:
        try:
            have = int(labels.get(key, ""))
        except ValueError:
            return False
        return have > limit if operator == "Gt" else have < limit

    return check


_FIELD = re.compile(r"^([^=!\\]+?)(!=|==|=)(.*)$", re.DOTALL)


def parse_field_selector(text: str) -> list[tuple[str, str, str]]:
    """(path, "=" or "!=", value) of each term, for example ("metadata.name", "=", "x"). Raises SelectorError."""
    terms = []
    for term in re.split(r"(?<!\\),", text):
        if not term.strip():
            continue
        match = _FIELD.match(term.strip())
        if not match:
            raise SelectorError(f"invalid selector: {text!r}; can't understand {term!r}")
        value = re.sub(r"\\([\\,=])", r"\1", match[3])
        terms.append((match[1].strip(), "!=" if match[2] == "!=" else "=", value))
    return terms
