"""ConfigMaps and Secrets. Rules: k8s.io/kubernetes/pkg/apis/core/validation ValidateConfigMap and ValidateSecret."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from fabula_local.apiserver.names import config_key_error
from fabula_local.schema.errors import FieldError, invalid, required, too_long

Object = Mapping[str, Any]

MOST_BYTES = 1024 * 1024
_ACCOUNT = "kubernetes.io/service-account.name"
_NEEDED = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
"""The keys without which a Secret of a type is of no use."""
_JSON = ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson")


def config_map_rules(obj: Object) -> Iterator[FieldError]:
    """Keys that can be file names, in one of both maps, and at most a mebibyte in all."""
    texts, binaries = obj.get("data") or {}, obj.get("binaryData") or {}
    total = 0
    for field, every, other in (("data", texts, binaries), ("binaryData", binaries, texts)):
        for key, value in every.items():
            if why := config_key_error(key):
                yield invalid(f"{field}[{key}]", key, why)
            if key in other:
                held = "binaryData" if field == "data" else "data"
                yield invalid(f"{field}[{key}]", key, f"duplicate of key present in {held}")
            total += len(value.encode()) if field == "data" else len(base64.b64decode(value))
    if total > MOST_BYTES:
        yield too_long("", MOST_BYTES)


def secret_rules(obj: Object) -> Iterator[FieldError]:
    """Keys and size as of a ConfigMap, and what the type needs."""
    data, kind = obj.get("data") or {}, obj.get("type")
    for key in data:
        if why := config_key_error(key):
            yield invalid(f"data[{key}]", key, why)
    if sum(len(base64.b64decode(value)) for value in data.values()) > MOST_BYTES:
        yield too_long("data", MOST_BYTES)
    if kind == "kubernetes.io/service-account-token":
        if not (obj["metadata"].get("annotations") or {}).get(_ACCOUNT):
            yield required(f"metadata.annotations[{_ACCOUNT}]")
    elif kind == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        yield required("data[username]")
        yield required("data[password]")
    for key in _NEEDED.get(kind or "", ()):
        if key not in data:
            yield required(f"data[{key}]")
        elif kind in _JSON and not _is_json(data[key]):
            yield invalid(f"data[{key}]", "<secret contents redacted>", "invalid JSON")


def _is_json(encoded: str) -> bool:
    try:
        orjson.loads(base64.b64decode(encoded))
    except orjson.JSONDecodeError:
        return False
    return True
