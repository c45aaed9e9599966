"""Protobuf bodies: what kubectl's typed commands send, and what is refused."""

from typing import Any

import pytest

from fabula_local.schema.protobuf import ProtobufError, decode_protobuf
from fabula_local.schema.protobuf_fields import MESSAGES


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    parts = []
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def encode(*fields: tuple[int, Any]) -> bytes:
    """Fields in wire form: numbers as varints, text and bytes with their length."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + encode((1, encode((1, api_version), (2, kind))), (2, raw), (3, ""), (4, ""))


META = encode((1, "n"), (2, ""), (8, b""), (11, encode((1, "a"), (2, "b"))))


def test_a_secret() -> None:
    raw = encode((1, META), (2, encode((1, "k"), (2, b"\x00\x01"))), (3, "Opaque"))
    assert decode_protobuf(body("v1", "Secret", raw)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "n", "labels": {"a": "b"}},
        "data": {"k": "AAE="},
        "type": "Opaque",
    }


def test_zeros_behind_pointers_stay_and_plain_ones_go() -> None:
    spec = encode((1, 0), (5, 0), (7, 0), (9, 0))
    raw = encode((1, META), (2, spec))
    assert decode_protobuf(body("apps/v1", "Deployment", raw))["spec"] == {"replicas": 0, "progressDeadlineSeconds": 0}


def test_numbers_strings_and_percentages() -> None:
    rolling = encode((1, encode((1, 1), (3, "50%"))), (2, encode((1, 0), (2, 0))))
    spec = encode((4, encode((1, "RollingUpdate"), (2, rolling))))
    found = decode_protobuf(body("apps/v1", "Deployment", encode((1, META), (2, spec))))
    assert found["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": "50%", "maxSurge": 0}
    found = decode_protobuf(body("scheduling.k8s.io/v1", "PriorityClass", encode((1, META), (2, -5))))
    assert found["value"] == -5


def test_times_and_quantities() -> None:
    meta = encode((1, "n"), (8, encode((1, 86400))))
    limits = encode((1, encode((1, "cpu"), (2, encode((1, "500m"))))))
    pod = encode((2, encode((1, "c"), (8, limits))))
    spec = encode((6, encode((2, pod))))
    found = decode_protobuf(body("batch/v1", "Job", encode((1, meta), (2, spec))))
    assert found["metadata"]["creationTimestamp"] == "1970-01-02T00:00:00Z"
    assert found["spec"]["template"]["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "500m"}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{}", "does not begin"),
        (body("v1", "Node", b""), "Node cannot be read as protobuf here; send JSON"),
        (body("v1", "ConfigMap", encode((99, "x"))), "field 99 of ConfigMap"),
        (body("v1", "ConfigMap", b"\x0a\xff"), "ends in the middle"),
        (body("v1", "ConfigMap", b"\x0a\x05ab"), "ends in the middle"),
        (body("v1", "ConfigMap", encode((1, 5))), "bytes were expected"),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ProtobufError, match=words):
        decode_protobuf(data)


def test_every_message_named_is_described() -> None:
    plain = {"str", "int", "bool", "bytes", "Time", "Quantity", "IntOrString"}
    for text in MESSAGES.values():
        for item in text.split():
            kind = item.partition(":")[2].removesuffix("?").strip("[]{}") or "str"
            assert kind in plain or kind in MESSAGES, item
