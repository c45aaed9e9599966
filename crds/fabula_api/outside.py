"""Text and JSON that somebody else wrote, made safe before anything is made of them.

A worker's report, a termination message, a label: whoever may run a pod in a namespace writes them.
"""

from __future__ import annotations

import json
import re
from typing import Any

DEPTH = 64
"""So deep JSON may be nested."""
MOST = 2**53 - 1
"""The largest whole number that every reader of JSON keeps as it is."""

# Control characters end a terminal's line or colour it; bidirectional marks show a text in another order than it has;
# a lone surrogate cannot be sent at all.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_BREAKS = re.compile("[\t\n\u0085\u2028\u2029]+")


def plain(text: str) -> str:
    """The text as one line without control and bidirectional characters; a line break becomes a space."""
    return _UNSAFE.sub("", _BREAKS.sub(" ", text.replace("\r\n", "\n")))


def plain_lines(text: str) -> str:
    """The text with its lines as they are, without control and bidirectional characters."""
    return _UNSAFE.sub("", text)


_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)([^\s/?#'\"<>]*@)?([^\s?#'\"<>]*)([?#][^\s'\"<>]*)?")
_HEADER = re.compile(
    r"(?i)\b(authorization|x-amz-security-token|cookie|x-api-key)(['\"]?\s*[:=]\s*['\"]?)(bearer |basic )?[^\s'\",;]+"
)


def without_secrets(text: str) -> str:
    """The text without what URLs and headers carry beside their address: user and password, query, fragment, tokens.

    An unforeseen exception quotes the request that failed, and a presigned URL is a credential.
    """

    def address(match: re.Match[str]) -> str:
        scheme, user, place, rest = match.groups()
        return f"{scheme}{'***@' if user else ''}{place}{f'{rest[0]}***' if rest else ''}"

    return _HEADER.sub(lambda match: f"{match[1]}{match[2]}***", _URL.sub(address, text))


_NO_REASON = re.compile("[^A-Za-z0-9_]+")


def camel_reason(text: str) -> str:
    """A reason as conditions allow it: at most 128 ASCII letters, digits and `_`, a letter first."""
    kept = _NO_REASON.sub("", text)[:128]
    return kept if kept and kept[0].isalpha() else f"Reason{kept}"[:128]


def whole(value: object) -> int | None:
    """A count as it may stand in a status: None for what is no whole number from 0 to 2^53, text among it."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 16):
            return None
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # NaN compares with nothing, and so is none.
    return int(value) if 0 <= value <= MOST else None


def read_json(data: str | bytes, depth: int = DEPTH) -> Any:
    """The JSON value. Raises ValueError for what is none, and for one nested deeper than `depth`."""
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise ValueError(f"the JSON is nested deeper than {depth}") from error
    level = [value]
    for _ in range(depth + 1):
        inner: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                inner += node.values()
            elif isinstance(node, list):
                inner += node
        if not inner:
            return value
        level = inner
    raise ValueError(f"the JSON is nested deeper than {depth}")


def read_outside(data: str | bytes, depth: int = DEPTH) -> Any:
    """JSON from a worker: whole numbers that every reader keeps, and texts that are safe to show, keys among them.

    Raises ValueError, naming what is wrong.
    """
    return _safe(read_json(data, depth))


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(key): _safe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_safe(item) for item in value]
    if isinstance(value, int) and abs(value) > MOST:
        raise ValueError(f"a whole number of {value.bit_length()} bits is none that JSON's readers agree on")
    return value
