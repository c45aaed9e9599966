"""Events. Rules: k8s.io/kubernetes/pkg/apis/core/validation legacyValidateEvent."""

from collections.abc import Iterator, Mapping
from typing import Any

from fabula_local.schema.errors import FieldError, invalid


def event_rules(obj: Mapping[str, Any]) -> Iterator[FieldError]:
    """An event lies in the namespace of its object; events of objects without one lie in `default`."""
    about = (obj.get("involvedObject") or {}).get("namespace") or ""
    namespace = obj["metadata"].get("namespace") or ""
    if about != namespace and (about or namespace != "default"):
        yield invalid("involvedObject.namespace", about, "does not match event.namespace")
