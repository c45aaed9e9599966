"""Objects that come as application/vnd.kubernetes.protobuf: kubectl's typed commands (create, auth) send nothing else.

Only what those commands make can be read (see protobuf_fields); a field beyond that is refused, never dropped.
"""

import base64
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from .protobuf_fields import MESSAGES

Object = dict[str, Any]

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"


class ProtobufError(ValueError):
    """A body that is no protobuf object, or one with a kind or field that cannot be read here."""


class _Field(NamedTuple):
    name: str
    kind: str
    shape: str
    pointer: bool


def decode_protobuf(data: bytes) -> Object:
    """The object as its JSON form, with apiVersion and kind. Raises ProtobufError."""
    if not data.startswith(_MAGIC):
        raise ProtobufError("the body does not begin as a Kubernetes protobuf object")
    type_meta: dict[int, str] = {}
    raw = b""
    for number, value in _wire(data[len(_MAGIC) :]):
        if number == 1 and isinstance(value, bytes):
            type_meta = {part: text.decode() for part, text in _wire(value) if isinstance(text, bytes)}
        elif number == 2 and isinstance(value, bytes):
            raw = value
    api_version, kind = type_meta.get(1, ""), type_meta.get(2, "")
    if kind not in MESSAGES:
        raise ProtobufError(f"{kind or 'an object without kind'} cannot be read as protobuf here; send JSON")
    body = _message(kind, raw)
    body.setdefault("metadata", {})
    return {"apiVersion": api_version, "kind": kind, **body}


@cache
def _fields(message: str) -> dict[int, _Field]:
    fields = {}
    for item in MESSAGES[message].split():
        name, _, rest = item.partition("=")
        number, _, kind = rest.partition(":")
        pointer = kind.endswith("?")
        kind = kind.removesuffix("?") or "str"
        shape = {"[": "list", "{": "map"}.get(kind[0], "one")
        fields[int(number)] = _Field(name, kind.strip("[]{}"), shape, pointer)
    return fields


def _message(message: str, data: bytes) -> Object:
    fields = _fields(message)
    result: Object = {}
    for number, value in _wire(data):
        field = fields.get(number)
        if field is None:
            raise ProtobufError(f"field {number} of {message} cannot be read as protobuf here; send JSON")
        if field.shape == "list":
            result.setdefault(field.name, []).extend(_items(field.kind, value))
        elif field.shape == "map":
            entry = dict(_wire(_bytes(value)))
            key, encoded = _bytes(entry.get(1, b"")).decode(), entry.get(2, b"")
            result.setdefault(field.name, {})[key] = _value(field.kind, encoded)
        else:
            decoded = _value(field.kind, value)
            if field.pointer or decoded not in ("", 0, {}, None):
                result[field.name] = decoded
    return result


def _items(kind: str, value: int | bytes) -> list[Any]:
    if kind == "int" and isinstance(value, bytes):
        return [_signed(number) for number in _packed(value)]
    return [_value(kind, value)]


def _value(kind: str, value: int | bytes) -> Any:
    if kind == "int":
        return _signed(_int(value))
    if kind == "bool":
        return bool(_int(value))
    data = _bytes(value)
    if kind == "str":
        return data.decode()
    if kind == "bytes":
        return base64.b64encode(data).decode()
    parts = dict(_wire(data)) if kind in ("Time", "Quantity", "IntOrString") else {}
    if kind == "Time":
        return _time(_signed(_int(parts.get(1, 0)))) if parts else None
    if kind == "Quantity":
        return _bytes(parts.get(1, b"")).decode()
    if kind == "IntOrString":
        return _bytes(parts.get(3, b"")).decode() if parts.get(1) else _signed(_int(parts.get(2, 0)))
    return _message(kind, data)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _int(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ProtobufError("a number was expected where bytes are")
    return value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ProtobufError("bytes were expected where a number is")
    return value


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _packed(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        number, position = _varint(data, position)
        yield number


def _wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) in the order of the bytes."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value: int | bytes
            value, position = _varint(data, position)
        elif kind == 2:
            length, position = _varint(data, position)
            value = data[position : position + length]
            if len(value) < length:
                raise ProtobufError("the body ends in the middle of a field")
            position += length
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            if position + width > len(data):
                raise ProtobufError("the body ends in the middle of a number")
            (value,) = struct.unpack_from("<Q" if kind == 1 else "<I", data, position)
            position += width
        else:
            raise ProtobufError(f"wire type {kind} is not used by Kubernetes")
        yield number, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ProtobufError("the body ends in the middle of a number")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
