"""Role bindings: the API group of subjects by default, and a role that stays."""

from fabula_local.apiserver.strategies.base import Object, Strategy
from fabula_local.schema.errors import FieldError, invalid

_GROUP = "rbac.authorization.k8s.io"


class BindingStrategy(Strategy):
    """rbac.authorization.k8s.io/v1 RoleBinding and ClusterRoleBinding."""

    def default(self, obj: Object) -> None:
        """Users and groups belong to the RBAC group, accounts to the core group."""
        if isinstance(role := obj.get("roleRef"), dict):
            role.setdefault("apiGroup", _GROUP)
        for subject in obj.get("subjects") or ():
            if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
                subject["apiGroup"] = _GROUP

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        """A binding cannot be pointed at another role."""
        if new.get("roleRef") == old.get("roleRef"):
            return []
        return [invalid("roleRef", new.get("roleRef"), "cannot change roleRef")]
