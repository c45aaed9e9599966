"""What is derived from long-lived dicts, kept by their identity: schemas are too large to hash and never change."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_LIMIT = 20_000


class IdentityCache(Generic[T]):
    """Results by the identity of the dict they were made from. Emptied when full, as definitions come and go."""

    def __init__(self) -> None:
        # The dict is kept beside its result, so that its id is not given to another one.
        self._known: dict[int, tuple[dict[str, Any], T]] = {}

    def get(self, source: dict[str, Any], make: Callable[[dict[str, Any]], T]) -> T:
        """The result for this very dict, made on first use."""
        known = self._known.get(id(source))
        if known is not None:
            return known[1]
        result = make(source)
        if len(self._known) >= _LIMIT:
            self._known.clear()
        self._known[id(source)] = (source, result)
        return result
