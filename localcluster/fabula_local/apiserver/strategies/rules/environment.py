"""Environment variables of a container. Rules: pkg/apis/core/validation of Kubernetes, ValidateEnv, ValidateEnvFrom."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fabula_local.apiserver.names import config_key_error, environment_error, subdomain_error
from fabula_local.schema.errors import FieldError, invalid, not_supported, required

Object = Mapping[str, Any]

_KEYED = ("configMapKeyRef", "secretKeyRef")
_SOURCES = ("fieldRef", "resourceFieldRef", "fileKeyRef", *_KEYED)
_ONE_SOURCE = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
_UNSUPPORTED = ("metadata.annotations", "metadata.labels", "status.phase", "spec.restartPolicy", "spec.hostname")
_SUBSCRIPTED = re.compile(r"metadata\.(annotations|labels)\['[^']+'\]")


def variable_rules(variables: Sequence[Object], path: str) -> Iterator[FieldError]:
    """Each variable has a name, and a value or one place to take it from. The same name twice is no error."""
    for index, variable in enumerate(variables):
        here = f"{path}[{index}]"
        name = variable.get("name")
        if not name:
            yield required(f"{here}.name")
        elif why := environment_error(name):
            yield invalid(f"{here}.name", name, why)
        if (source := variable.get("valueFrom")) is not None:
            yield from _source(source, bool(variable.get("value")), f"{here}.valueFrom")


def _source(source: Object, has_value: bool, path: str) -> Iterator[FieldError]:
    kinds = [kind for kind in _SOURCES if source.get(kind) is not None]
    for kind in _KEYED:
        if (reference := source.get(kind)) is not None:
            yield from _key_reference(reference, f"{path}.{kind}")
    if (field := source.get("fieldRef")) is not None:
        yield from _field_reference(field, f"{path}.fieldRef")
    if not kinds:
        yield invalid(path, "", _ONE_SOURCE)
    if has_value and kinds:
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif len(kinds) > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")


def _key_reference(reference: Object, path: str) -> Iterator[FieldError]:
    if not reference.get("name"):
        yield required(f"{path}.name")
    key = reference.get("key")
    if not key:
        yield required(f"{path}.key")
    elif why := config_key_error(key):
        yield invalid(f"{path}.key", key, why)


def _field_reference(reference: Object, path: str) -> Iterator[FieldError]:
    field = reference.get("fieldPath")
    if not field:
        yield required(f"{path}.fieldPath")
    elif field in _UNSUPPORTED:
        yield not_supported(f"{path}.fieldPath", field, list(_FIELDS))
    elif field not in _FIELDS and not _SUBSCRIPTED.fullmatch(field):
        why = f"error converting fieldPath: field label not supported: {field}"
        yield invalid(f"{path}.fieldPath", field, why)


def source_rules(sources: Sequence[Object], path: str) -> Iterator[FieldError]:
    """envFrom: each names one ConfigMap or one Secret."""
    for index, source in enumerate(sources):
        here = f"{path}[{index}]"
        if (prefix := source.get("prefix")) and (why := environment_error(prefix)):
            yield invalid(f"{here}.prefix", prefix, why)
        kinds = [kind for kind in ("configMapRef", "secretRef") if source.get(kind) is not None]
        for kind in kinds:
            name = source[kind].get("name")
            if not name:
                yield required(f"{here}.{kind}.name")
            elif why := subdomain_error(name):
                yield invalid(f"{here}.{kind}.name", name, why)
        if not kinds:
            yield invalid(here, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(kinds) > 1:
            yield invalid(here, "", "may not have more than one field specified at a time")
