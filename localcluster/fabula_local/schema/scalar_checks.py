"""What a schema asks of single strings and numbers, in the words of kube-openapi."""

import re
from collections.abc import Callable
from typing import Any

from . import errors
from .decoding import DECODED_AS, DECODERS
from .errors import FieldError, go_float
from .formats import INTEGER_BOUNDS, STRING_FORMATS

Check = Callable[[Any, str, list[FieldError]], None]
Schema = dict[str, Any]


def string_checks(schema: Schema) -> list[Check]:
    """Length, pattern and format."""
    checks: list[Check] = []
    longest, shortest = schema.get("maxLength"), schema.get("minLength")
    if longest is not None or shortest is not None:

        def length(value: Any, path: str, faults: list[FieldError]) -> None:
            if longest is not None and len(value) > longest:
                faults.append(errors.too_long(path, longest))
            if shortest is not None and len(value) < shortest:
                detail = f"{path} in body should be at least {shortest} chars long"
                faults.append(errors.invalid(path, value, detail))

        checks.append(length)
    if pattern := schema.get("pattern"):
        search = compile_pattern(pattern).search

        def match(value: Any, path: str, faults: list[FieldError]) -> None:
            if not search(value):
                faults.append(errors.invalid(path, value, f"{path} in body should match '{pattern}'"))

        checks.append(match)
    format_ = schema.get("format", "")
    if accepts := STRING_FORMATS.get(format_):

        def formatted(value: Any, path: str, faults: list[FieldError]) -> None:
            if not accepts(value):
                detail = f"{path} in body must be of type {format_}: {errors.quoted(value)}"
                faults.append(errors.type_invalid(path, value, detail))

        checks.append(formatted)
    if decode := DECODERS.get(schema.get(DECODED_AS, "")):

        def decoded(value: Any, path: str, faults: list[FieldError]) -> None:
            if why := decode(value):
                faults.append(errors.undecodable(path, why))

        checks.append(decoded)
    return checks


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern (RE2 syntax) as a Python one: \\z is Python's \\Z and a closing $ does not match before a newline."""
    text = pattern.replace("\\z", "\\Z")
    text = re.sub(r"(?<!\\)((?:\\\\)*)\$$", r"\1\\Z", text)
    text = re.sub(r"\[\[:(\w+):\]\]", lambda match: _POSIX.get(match[1], match[0]), text)
    return re.compile(text)


_POSIX = {
    "alnum": "[0-9A-Za-z]",
    "alpha": "[A-Za-z]",
    "digit": "[0-9]",
    "lower": "[a-z]",
    "upper": "[A-Z]",
    "space": r"\s",
}


def number_checks(schema: Schema) -> list[Check]:
    """Bounds, steps and the width of integers."""
    checks: list[Check] = []
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = bool(schema.get("exclusiveMinimum")), bool(schema.get("exclusiveMaximum"))
    if low is not None or high is not None:

        def bounds(value: Any, path: str, faults: list[FieldError]) -> None:
            if low is not None and (value <= low if above else value < low):
                words = "greater than" if above else "greater than or equal to"
                faults.append(errors.invalid(path, value, f"{path} in body should be {words} {_bound(low, value)}"))
            if high is not None and (value >= high if below else value > high):
                words = "less than" if below else "less than or equal to"
                faults.append(errors.invalid(path, value, f"{path} in body should be {words} {_bound(high, value)}"))

        checks.append(bounds)
    if step := schema.get("multipleOf"):

        def multiple(value: Any, path: str, faults: list[FieldError]) -> None:
            ratio = value / step
            if abs(ratio - round(ratio)) > 1e-9:
                faults.append(
                    errors.invalid(path, value, f"{path} in body should be a multiple of {_bound(step, step)}")
                )

        checks.append(multiple)
    format_ = schema.get("format")
    if limits := INTEGER_BOUNDS.get(format_ or ""):
        lowest, highest = limits

        def width(value: Any, path: str, faults: list[FieldError]) -> None:
            if not lowest <= value <= highest:
                detail = f"Checked value must be of type integer with format {format_} in {path}"
                faults.append(errors.invalid("<nil>", "", detail))

        checks.append(width)
    return checks


def _bound(limit: float, value: float) -> str:
    return str(int(limit)) if isinstance(value, int) else go_float(limit)
