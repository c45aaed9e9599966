"""CustomResourceDefinitions: names, versions, a structural schema, and the conditions that say they are served.

What makes one valid is the schema package's; this is what the server fills in.
"""

from fabula_local.apiserver.metadata import timestamp
from fabula_local.apiserver.strategies.base import Cluster, Object, Strategy, immutable
from fabula_local.schema.crd import validate_crd
from fabula_local.schema.errors import FieldError

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class DefinitionStrategy(Strategy):
    """apiextensions.k8s.io/v1 CustomResourceDefinition."""

    def __init__(self) -> None:
        super().__init__(counts_generation=True)

    def default(self, obj: Object) -> None:
        """Singular and list names from the kind; no conversion."""
        spec = obj.setdefault("spec", {})
        names = spec.get("names")
        if isinstance(names, dict) and (kind := names.get("kind")):
            names.setdefault("singular", str(kind).lower())
            names.setdefault("listKind", f"{kind}List")
        spec.setdefault("conversion", {"strategy": "None"})

    def prepare_create(self, obj: Object, cluster: Cluster) -> None:
        """Accepted and established at once: names cannot collide with another server's here."""
        metadata = obj["metadata"]
        if CLEANUP_FINALIZER not in (metadata.get("finalizers") or ()):
            metadata["finalizers"] = [*(metadata.get("finalizers") or ()), CLEANUP_FINALIZER]
        now = timestamp()
        obj["status"] = {
            "conditions": [
                _condition("NamesAccepted", "NoConflicts", "no conflicts found", now),
                _condition("Established", "InitialNamesAccepted", "the initial names have been accepted", now),
            ]
        }
        _record(obj, {})

    def prepare_update(self, new: Object, old: Object) -> None:
        """Keep the names and the stored versions up to date."""
        _record(new, old)

    def validate(self, obj: Object) -> list[FieldError]:
        """Names, scope, one storage version, structural schemas."""
        return validate_crd(obj)

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        """Group, scope, kind and plural are fixed."""
        errors = [
            error
            for key in ("group", "scope")
            for error in immutable(f"spec.{key}", new["spec"][key], old["spec"][key])
        ]
        for key in ("kind", "plural"):
            errors += immutable(f"spec.names.{key}", new["spec"]["names"][key], old["spec"]["names"][key])
        return errors


def _condition(kind: str, reason: str, message: str, now: str) -> Object:
    return {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}


def _record(obj: Object, old: Object) -> None:
    spec, status = obj["spec"], obj.setdefault("status", {})
    status["acceptedNames"] = dict(spec.get("names") or {})
    kept = list((old.get("status") or {}).get("storedVersions") or ())
    for version in spec.get("versions") or ():
        if version.get("storage") and version.get("name") not in kept:
            kept.append(version.get("name"))
    status["storedVersions"] = kept
