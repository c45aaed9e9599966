"""The small kinds: what they default, what they refuse and what they freeze."""

import base64

from fabula_local.apiserver.strategies.base import Cluster, Object, Strategy, immutable
from fabula_local.apiserver.strategies.rules.data import config_map_rules, secret_rules
from fabula_local.apiserver.strategies.rules.events import event_rules
from fabula_local.apiserver.strategies.rules.leases import lease_rules
from fabula_local.schema.errors import FieldError, forbidden

_FROZEN = "field is immutable when `immutable` is set"


class NamespaceStrategy(Strategy):
    """core/v1 Namespace."""

    def default(self, obj: Object) -> None:
        """The label that carries the name."""
        metadata = obj["metadata"]
        if name := metadata.get("name"):
            metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": name}

    def prepare_create(self, obj: Object, cluster: Cluster) -> None:
        """Open, and held until its content is gone."""
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}

    def prepare_update(self, new: Object, old: Object) -> None:
        """Only the finalize subresource may release it."""
        new["spec"] = old["spec"]


class _DataStrategy(Strategy):
    """A kind whose data may be frozen."""

    data: tuple[str, ...] = ("data", "binaryData")

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        """Nothing changes once `immutable` is set."""
        if not old.get("immutable"):
            return []
        errors = [forbidden("immutable", _FROZEN)] if not new.get("immutable") else []
        return errors + [forbidden(key, _FROZEN) for key in self.data if new.get(key) != old.get(key)]


class ConfigMapStrategy(_DataStrategy):
    """core/v1 ConfigMap."""

    def validate(self, obj: Object) -> list[FieldError]:
        """Keys and size."""
        return list(config_map_rules(obj))


class SecretStrategy(_DataStrategy):
    """core/v1 Secret."""

    data = ("data",)

    def default(self, obj: Object) -> None:
        """Opaque by default; stringData is write-only and ends in data."""
        obj.setdefault("type", "Opaque")
        if texts := obj.pop("stringData", None):
            encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()}
            obj["data"] = {**(obj.get("data") or {}), **encoded}

    def validate(self, obj: Object) -> list[FieldError]:
        """Keys, size, and what the type needs."""
        return list(secret_rules(obj))

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        """The type is fixed."""
        return immutable("type", new.get("type"), old.get("type")) + super().validate_update(new, old)


class EventStrategy(Strategy):
    """core/v1 Event."""

    def validate(self, obj: Object) -> list[FieldError]:
        """The namespace of what it tells of."""
        return list(event_rules(obj))


class LeaseStrategy(Strategy):
    """coordination.k8s.io/v1 Lease."""

    def validate(self, obj: Object) -> list[FieldError]:
        """How long it lasts."""
        return list(lease_rules(obj))


class PersistentVolumeClaimStrategy(Strategy):
    """core/v1 PersistentVolumeClaim."""

    def default(self, obj: Object) -> None:
        """A filesystem."""
        if isinstance(spec := obj.get("spec"), dict):
            spec.setdefault("volumeMode", "Filesystem")

    def prepare_create(self, obj: Object, cluster: Cluster) -> None:
        """Pending until something binds it."""
        obj["status"] = {"phase": "Pending"}


class PriorityClassStrategy(Strategy):
    """scheduling.k8s.io/v1 PriorityClass."""

    def __init__(self) -> None:
        super().__init__(counts_generation=True)

    def default(self, obj: Object) -> None:
        """Preempts by default."""
        obj.setdefault("preemptionPolicy", "PreemptLowerPriority")

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        """The value is fixed."""
        return [forbidden("value", "may not be changed in an update.")] if new.get("value") != old.get("value") else []
