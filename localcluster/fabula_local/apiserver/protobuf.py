"""Protobuf request bodies of the kinds that kubectl's typed commands send.

`kubectl create namespace`, `auth can-i`, `create token` and their like encode their bodies as protobuf and have no
fallback. This reads those kinds; for the others the answer is 415, and `kubectl apply -f` works, which sends JSON.
Field numbers: the generated.proto files of k8s.io/api and k8s.io/apimachinery.
"""

import base64
from collections.abc import Callable, Iterator
from typing import Any

from fabula_local.apiserver.errors import bad_request, unsupported_media_type

MEDIA = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

Object = dict[str, Any]
_Read = Callable[[Any], Any]

# message: its fields as number:name:type. Types: s string, i integer, b bool, y bytes, m map of strings,
# n map of bytes, or a message; a trailing * repeats.
_MESSAGES = """
ObjectMeta 1:name:s 2:generateName:s 3:namespace:s 5:uid:s 6:resourceVersion:s 11:labels:m 12:annotations:m
ObjectMeta 13:ownerReferences:OwnerReference* 14:finalizers:s*
OwnerReference 1:kind:s 3:name:s 4:uid:s 5:apiVersion:s 6:controller:b 7:blockOwnerDeletion:b
Namespace 1:metadata:ObjectMeta
ConfigMap 1:metadata:ObjectMeta 2:data:m 3:binaryData:n 4:immutable:b
Secret 1:metadata:ObjectMeta 2:data:n 3:type:s 4:stringData:m 5:immutable:b
ServiceAccount 1:metadata:ObjectMeta 3:imagePullSecrets:LocalReference* 4:automountServiceAccountToken:b
LocalReference 1:name:s
Role 1:metadata:ObjectMeta 2:rules:PolicyRule*
ClusterRole 1:metadata:ObjectMeta 2:rules:PolicyRule*
PolicyRule 1:verbs:s* 2:apiGroups:s* 3:resources:s* 4:resourceNames:s* 5:nonResourceURLs:s*
RoleBinding 1:metadata:ObjectMeta 2:subjects:Subject* 3:roleRef:RoleRef
ClusterRoleBinding 1:metadata:ObjectMeta 2:subjects:Subject* 3:roleRef:RoleRef
Subject 1:kind:s 2:apiGroup:s 3:name:s 4:namespace:s
RoleRef 1:apiGroup:s 2:kind:s 3:name:s
PriorityClass 1:metadata:ObjectMeta 2:value:i 3:globalDefault:b 4:description:s 5:preemptionPolicy:s
SelfSubjectReview 1:metadata:ObjectMeta
SelfSubjectAccessReview 1:metadata:ObjectMeta 2:spec:AccessSpec
SubjectAccessReview 1:metadata:ObjectMeta 2:spec:AccessSpec
LocalSubjectAccessReview 1:metadata:ObjectMeta 2:spec:AccessSpec
AccessSpec 1:resourceAttributes:ResourceAttributes 2:nonResourceAttributes:PathAttributes 3:user:s 4:groups:s* 6:uid:s
ResourceAttributes 1:namespace:s 2:verb:s 3:group:s 4:version:s 5:resource:s 6:subresource:s 7:name:s
PathAttributes 1:path:s 2:verb:s
SelfSubjectRulesReview 1:metadata:ObjectMeta 2:spec:RulesSpec
RulesSpec 1:namespace:s
TokenReview 1:metadata:ObjectMeta 2:spec:TokenReviewSpec
TokenReviewSpec 1:token:s 2:audiences:s*
TokenRequest 1:metadata:ObjectMeta 2:spec:TokenSpec
TokenSpec 1:audiences:s* 3:boundObjectRef:BoundReference 4:expirationSeconds:i
BoundReference 1:kind:s 2:apiVersion:s 3:name:s 4:uid:s
DeleteOptions 1:gracePeriodSeconds:i 2:preconditions:Preconditions 3:orphanDependents:b 4:propagationPolicy:s 5:dryRun:s*
Preconditions 1:uid:s 2:resourceVersion:s
Eviction 1:metadata:ObjectMeta 2:deleteOptions:DeleteOptions
"""


def decode_protobuf(body: bytes) -> Object:
    """The object in an envelope of k8s.io/apimachinery/pkg/runtime.Unknown."""
    if not body.startswith(_MAGIC):
        raise bad_request("the body does not begin with the Kubernetes protobuf prefix")
    try:
        envelope = dict(_fields(body[len(_MAGIC) :]))
        type_meta = {number: value.decode() for number, value in _fields(envelope[1])}
        kind = type_meta.get(2, "")
        if kind not in _TABLE:
            raise unsupported_media_type(f"application/json, application/yaml (no {kind} is read as protobuf here)")
        read = _message(kind, envelope.get(2, b""))
    except (KeyError, IndexError, UnicodeDecodeError, AttributeError) as problem:
        raise bad_request(f"the protobuf body is malformed: {problem}") from problem
    return {"apiVersion": type_meta.get(1, ""), "kind": kind, **read}


def _table() -> dict[str, dict[int, tuple[str, str, bool]]]:
    found: dict[str, dict[int, tuple[str, str, bool]]] = {}
    for line in _MESSAGES.strip().splitlines():
        message, *fields = line.split()
        for field in fields:
            number, name, kind = field.split(":")
            found.setdefault(message, {})[int(number)] = (name, kind.rstrip("*"), kind.endswith("*"))
    return found


_TABLE = _table()


def _message(kind: str, body: bytes) -> Object:
    result: Object = {}
    fields = _TABLE[kind]
    for number, value in _fields(body):
        if number not in fields:
            continue
        name, field_kind, repeated = fields[number]
        if field_kind in ("m", "n"):
            entry = dict(_fields(value))
            item = entry.get(2, b"")
            result.setdefault(name, {})[entry[1].decode()] = _SCALARS["s" if field_kind == "m" else "y"](item)
        else:
            scalar = _SCALARS.get(field_kind)
            read = scalar(value) if scalar else _message(field_kind, value)
            if repeated:
                result.setdefault(name, []).append(read)
            elif read != "":
                result[name] = read
    return result


_SCALARS: dict[str, _Read] = {
    "s": lambda value: value.decode(),
    "y": lambda value: base64.b64encode(value).decode(),
    "b": bool,
    "i": lambda value: value - (1 << 64) if value >> 63 else value,
}


def _fields(body: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, bytes or integer) of a message on the wire."""
    position = 0
    while position < len(body):
        key, position = _varint(body, position)
        wire = key & 7
        if wire == 0:
            value, position = _varint(body, position)
            yield key >> 3, value
        elif wire == 2:
            length, position = _varint(body, position)
            yield key >> 3, body[position : position + length]
            position += length
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        else:
            raise IndexError(f"unknown wire type {wire}")


def _varint(body: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7
