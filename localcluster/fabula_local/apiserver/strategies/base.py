"""The seams at which a kind's own rules enter a write, as Kubernetes' registry strategies do."""

from collections.abc import Mapping
from typing import Any, Protocol

from fabula_local.schema.errors import FieldError, invalid

Object = dict[str, Any]


class Cluster(Protocol):
    """What a rule may look up while it decides about one object."""

    def lookup(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        """The stored object of a kind key such as "serviceaccounts", or None. Must not be changed."""


class Strategy:
    """A kind without rules of its own; the others override what they need. No method keeps state."""

    def __init__(self, *, counts_generation: bool = False) -> None:
        self.counts_generation = counts_generation
        """Whether metadata.generation counts changes of the desired state."""

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place; runs on every write."""

    def prepare_create(self, obj: Object, cluster: Cluster) -> None:
        """Set what the server generates, in place; raises ApiError where admission refuses the object."""

    def settle(self, obj: Object) -> None:
        """Fill in, in place, what only shows once a new object was validated and is read back."""

    def prepare_update(self, new: Object, old: Object) -> None:
        """Carry over what a client cannot change, in place."""

    def validate(self, obj: Object) -> list[FieldError]:
        """Rules beyond the schema, for every write but those of a subresource."""
        return []

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        """Rules about the change itself, such as immutability."""
        return []

    def validate_status(self, new: Object, old: Object) -> list[FieldError]:
        """Rules about a change of status; those of the rest are not asked then."""
        return []


def immutable(field: str, new: Any, old: Any) -> list[FieldError]:
    """The error for a changed field that may not change, or nothing."""
    return [] if new == old else [invalid(field, new, "field is immutable")]
