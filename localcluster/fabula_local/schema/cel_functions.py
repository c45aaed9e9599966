"""The functions on strings that Kubernetes adds to CEL, for our engine, and optional selection.

As methods they get their target first. Source: cel-go's ext package. Other libraries of Kubernetes (lists, quantities,
URLs, addresses, sets, formats) are not here, for no rule of the product's kinds needs them.
"""

from collections.abc import Callable
from typing import Any

from cel import OptionalValue


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


def _ascii(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(change(sign) if sign.isascii() else sign for sign in text)


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
    "indexOf": lambda text, wanted, start=0: text.find(wanted, start),
    "lastIndexOf": str.rfind,
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
