"""What the laptop cluster knows about one served kind.

The API server, the schema code and the printers all speak of kinds through this one value, whether the kind is built
in or comes from a CustomResourceDefinition.
"""

from dataclasses import dataclass, field
from typing import Any

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, eq=False)
class Resource:
    """One kind in one version, as the API serves it. Compared by identity, so that it can key a cache."""

    group: str
    """API group; empty for the core group."""
    version: str
    kind: str
    plural: str
    """Name in URLs, for example "pods"."""
    singular: str
    list_kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    """What discovery offers on the collection and its objects; a review kind offers only "create"."""
    schema: dict[str, Any] | None = None
    """openAPIV3Schema of the whole object with the x-kubernetes-* extensions; None where nothing is checked."""
    subresources: frozenset[str] = frozenset()
    """Names below an object, for example "status", "log", "binding", "scale"."""
    printer_columns: tuple[dict[str, Any], ...] = ()
    """additionalPrinterColumns: {name, type, jsonPath, format?, description?, priority?}."""
    storage: bool = True
    """Whether objects are kept. False for kinds that are answered and forgotten, such as TokenReview."""
    storage_version: bool = True
    """Whether this is the version in which objects are kept; one version of each group and plural is."""
    custom: bool = False
    """Whether a CustomResourceDefinition defined it."""
    scale: dict[str, str] | None = None
    """specReplicasPath, statusReplicasPath and labelSelectorPath where the scale subresource is served."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What a single kind needs beyond the rest, for example {"selectableFields": [".spec.x"]}."""

    @property
    def api_version(self) -> str:
        """apiVersion of its objects, for example "batch/v1" or "v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """Name in messages, for example "jobs.batch" or "pods"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural
