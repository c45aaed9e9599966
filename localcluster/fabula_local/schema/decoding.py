"""Texts that built-in kinds decode into Go types of their own, and what decoding says of those that do not fit."""

import base64
import binascii
import re
from collections.abc import Callable

from fabula_kube.quantity import QuantityError, parse_quantity

DECODED_AS = "x-decoded-as"
"""The key of a built-in schema that names the decoder; no document shows it."""
_MICRO = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\.\d{6}(Z|[+-]\d{2}:\d{2})")
_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"


def _quantity(text: str) -> str | None:
    try:
        parse_quantity(text)
    except QuantityError as problem:
        return str(problem)
    return None


def _micro_time(text: str) -> str | None:
    """metav1.MicroTime: unlike metav1.Time it has six digits after the second, no fewer."""
    if _MICRO.fullmatch(text):
        return None
    rest = text[19:] if re.match(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}", text) else text
    return f'parsing time "{text}" as "{_LAYOUT}": cannot parse "{rest}" as ".000000"'


def _bytes(text: str) -> str | None:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        strange = re.search(r"[^A-Za-z0-9+/]", text)
        return f"illegal base64 data at input byte {strange.start() if strange else len(text)}"
    return None


DECODERS: dict[str, Callable[[str], str | None]] = {
    "quantity": _quantity,
    "micro-time": _micro_time,
    "bytes": _bytes,
}
