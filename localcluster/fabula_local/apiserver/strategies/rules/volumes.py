"""Volumes of a pod and where its containers mount them.

Rules: k8s.io/kubernetes/pkg/apis/core/validation ValidateVolumes and ValidateVolumeMounts.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fabula_local.apiserver.names import config_key_error, dns_label_error
from fabula_local.apiserver.strategies.rules.numbers import nonnegative_quantity
from fabula_local.schema.errors import FieldError, duplicate, forbidden, invalid, not_found, required

Object = Mapping[str, Any]

_NEEDED = (
    ("hostPath", "path"),
    ("secret", "secretName"),
    ("configMap", "name"),
    ("persistentVolumeClaim", "claimName"),
)
"""What each source of a volume cannot be without."""
_MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def volume_rules(volumes: Sequence[Object], path: str) -> Iterator[FieldError]:
    """Each volume has a name of its own and one source."""
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        here = f"{path}[{index}]"
        yield from _sources(volume, here)
        name = volume.get("name")
        if not name:
            yield required(f"{here}.name")
        elif why := dns_label_error(name):
            yield invalid(f"{here}.name", name, why)
        if name in names:
            yield duplicate(f"{here}.name", name)
        names.add(name or "")


def _sources(volume: Object, path: str) -> Iterator[FieldError]:
    kinds = [kind for kind in volume if kind != "name" and volume[kind] is not None]
    if not kinds:
        yield required(path, "must specify a volume type")
    for kind in kinds[1:]:
        yield forbidden(f"{path}.{kind}", "may not specify more than 1 volume type")
    for kind in kinds[:1]:
        source, here = volume[kind], f"{path}.{kind}"
        for needed in (needed for owner, needed in _NEEDED if owner == kind and not source.get(needed)):
            yield required(f"{here}.{needed}")
        if kind == "hostPath" and ".." in str(source.get("path") or "").split("/"):
            yield invalid(f"{here}.path", source["path"], "must not contain '..'")
        if kind == "emptyDir" and (limit := source.get("sizeLimit")) is not None:
            yield from nonnegative_quantity(limit, f"{here}.sizeLimit")
        if (mode := source.get("defaultMode")) is not None and not 0 <= mode <= 0o777:
            yield invalid(f"{here}.defaultMode", mode, _MODE)
        if kind in ("configMap", "secret"):
            yield from _items(source.get("items") or (), f"{here}.items")


def _items(items: Sequence[Object], path: str) -> Iterator[FieldError]:
    for index, item in enumerate(items):
        here = f"{path}[{index}]"
        if not (key := item.get("key")):
            yield required(f"{here}.key")
        elif why := config_key_error(key):
            yield invalid(f"{here}.key", key, why)
        if not (where := item.get("path")):
            yield required(f"{here}.path")
        else:
            yield from _descending(where, f"{here}.path")


def mount_rules(mounts: Sequence[Object], volumes: Sequence[Object], path: str) -> Iterator[FieldError]:
    """Each mount names a volume of the pod and a place of its own in the container."""
    known = {volume.get("name") for volume in volumes}
    places: set[str] = set()
    for index, mount in enumerate(mounts):
        here = f"{path}[{index}]"
        name, place = mount.get("name"), mount.get("mountPath")
        if not name:
            yield required(f"{here}.name")
        elif name not in known:
            yield not_found(f"{here}.name", name)
        if not place:
            yield required(f"{here}.mountPath")
        elif place in places:
            yield invalid(f"{here}.mountPath", place, "must be unique")
        places.add(place or "")
        if mount.get("subPath") and mount.get("subPathExpr"):
            yield invalid(f"{here}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
        for key in ("subPath", "subPathExpr"):
            if below := mount.get(key):
                yield from _descending(below, f"{here}.{key}")


def _descending(text: str, path: str) -> Iterator[FieldError]:
    if text.startswith("/"):
        yield invalid(path, text, "must be a relative path")
    if ".." in text.split("/"):
        yield invalid(path, text, "must not contain '..'")
