"""The functions that Kubernetes adds to CEL, for our engine: strings, lists, quantities, URLs, optional selection.

As methods they get their target first. Sources: k8s.io/apiserver/pkg/cel/library and cel-go's ext package.
"""

import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cel import OptionalValue

from fabula_local.quantity import parse_quantity

_MARK = "quantity_"


def _quantity(text: Any) -> dict[str, str]:
    return {_MARK: format(parse_quantity(str(text)).normalize(), "f")}


def _is_quantity(text: Any) -> bool:
    try:
        parse_quantity(str(text))
    except ValueError:
        return False
    return True


def _number(value: Any) -> Decimal:
    return Decimal(value[_MARK]) if isinstance(value, dict) else Decimal(value)


def _compare(one: Any, other: Any) -> int:
    left, right = _number(one), _number(other)
    return (left > right) - (left < right)


def _select(target: Any, key: Any) -> OptionalValue:
    if isinstance(target, OptionalValue):
        if not target.has_value():
            return target
        target = target.value()
    if isinstance(target, dict) and key in target:
        return OptionalValue.of(target[key])
    if isinstance(target, list) and isinstance(key, int) and 0 <= key < len(target):
        return OptionalValue.of(target[key])
    return OptionalValue.none()


def _index_of(target: Any, wanted: Any, start: int = 0) -> int:
    if isinstance(target, str):
        return target.find(wanted, start)
    return target.index(wanted) if wanted in target else -1


def _last_index_of(target: Any, wanted: Any) -> int:
    if isinstance(target, str):
        return target.rfind(wanted)
    return len(target) - 1 - target[::-1].index(wanted) if wanted in target else -1


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    return text.replace(old, new, limit)


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if separator == "":
        return list(text)
    return [] if limit == 0 else text.split(separator, limit - 1 if limit > 0 else -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= stop <= len(text):
        raise IndexError(f"index out of range: {start}")
    return text[start:stop]


def _find(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[0] if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    every = [found[0] for found in re.finditer(pattern, text)]
    return every if limit < 0 else every[:limit]


def _sum(items: list[Any]) -> Any:
    return sum(items[1:], items[0]) if items else 0


def _is_sorted(items: list[Any]) -> bool:
    return all(one <= other for one, other in pairwise(items))


def _ascii(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(change(sign) if sign.isascii() else sign for sign in text)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _family(text: str) -> int:
    return ipaddress.ip_address(text).version


def _format(pattern: str, values: list[Any]) -> str:
    rest = iter(values)

    def one(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        value, kind = next(rest), found[2]
        if kind in "ef":
            return format(value, f"{found[1] or '.6'}{kind}")
        if kind in "xX":
            return format(value, kind) if isinstance(value, int) else str(value).encode().hex()
        if kind in "bo":
            return format(int(value), kind)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return re.sub(r"%%|%(\.\d+)?([sdfebxXo])", one, pattern)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "optSelect_": _select,
    "split": _split,
    "join": lambda items, separator="": separator.join(items),
    "lowerAscii": _ascii(str.lower),
    "upperAscii": _ascii(str.upper),
    "replace": _replace,
    "substring": _substring,
    "trim": str.strip,
    "charAt": lambda text, index: _substring(text, index, min(index + 1, len(text))),
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "reverse": lambda value: value[::-1],
    "find": _find,
    "findAll": _find_all,
    "format": _format,
    "isSorted": _is_sorted,
    "sum": _sum,
    "min": lambda *items: min(items[0] if len(items) == 1 and isinstance(items[0], list) else items),
    "max": lambda *items: max(items[0] if len(items) == 1 and isinstance(items[0], list) else items),
    "math_greatest_": lambda *items: max(items[0] if isinstance(items[0], list) else items),
    "math_least_": lambda *items: min(items[0] if isinstance(items[0], list) else items),
    "math_abs_": abs,
    "sets_contains_": lambda one, other: all(item in one for item in other),
    "sets_intersects_": lambda one, other: any(item in one for item in other),
    "sets_equivalent_": lambda one, other: all(x in one for x in other) and all(x in other for x in one),
    "quantity": _quantity,
    "isQuantity": _is_quantity,
    "isGreaterThan": lambda one, other: _compare(one, other) > 0,
    "isLessThan": lambda one, other: _compare(one, other) < 0,
    "compareTo": _compare,
    "asInteger": lambda value: int(_number(value)),
    "isInteger": lambda value: _number(value) == _number(value).to_integral_value(),
    "asApproximateFloat": lambda value: float(_number(value)),
    "sign": lambda value: (_number(value) > 0) - (_number(value) < 0),
    "add": lambda one, other: {_MARK: format((_number(one) + _number(other)).normalize(), "f")},
    "sub": lambda one, other: {_MARK: format((_number(one) - _number(other)).normalize(), "f")},
    "url": lambda text: text,
    "isURL": _is_url,
    "getScheme": lambda text: urlsplit(text).scheme,
    "getHost": lambda text: urlsplit(text).netloc.rpartition("@")[2],
    "getHostname": lambda text: urlsplit(text).hostname or "",
    "getPort": lambda text: str(urlsplit(text).port or ""),
    "getEscapedPath": lambda text: urlsplit(text).path,
    "getQuery": lambda text: parse_qs(urlsplit(text).query, keep_blank_values=True),
    "ip": lambda text: str(ipaddress.ip_address(text)),
    "isIP": _is_ip,
    "family": _family,
    "isCIDR": _is_cidr,
}

ENGINE_FUNCTIONS = frozenset(
    (
        *(
            "size",
            "has",
            "contains",
            "startsWith",
            "endsWith",
            "matches",
            "all",
            "exists",
            "exists_one",
            "filter",
            "map",
        ),
        *("int", "uint", "double", "string", "bool", "bytes", "type", "dyn", "duration", "timestamp", "orValue", "or"),
        *("hasValue", "value", "of", "ofNonZeroValue", "none", "getFullYear", "getMonth", "getDate", "getDayOfMonth"),
        *("getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds", "existsOne"),
        *("optional.none", "optional.of", "optional.ofNonZeroValue"),
    )
)
"""Functions the engine brings itself."""
