"""What follows from a value that never changes is worked out once, as long as the value is among the last in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Concatenate, ParamSpec, TypeVar

V = TypeVar("V")
P = ParamSpec("P")
T = TypeVar("T")


def once(most: int) -> Callable[[Callable[Concatenate[V, P], T]], Callable[Concatenate[V, P], T]]:
    """Remember what a function gave for the last `most` values of its first argument and equal, hashable others.

    The first argument is known by its identity, since it need not be hashable: nobody may change it, or the result.
    Both are kept until others take their place. What raises is not remembered. Not for several threads.
    """

    def remembering(function: Callable[Concatenate[V, P], T]) -> Callable[Concatenate[V, P], T]:
        known: OrderedDict[tuple[Hashable, ...], tuple[V, T]] = OrderedDict()

        def remembered(value: V, /, *rest: P.args, **named: P.kwargs) -> T:
            key: tuple[Any, ...] = (id(value), *rest, *named.items()) if named else (id(value), *rest)
            kept = known.get(key)
            # The value is held, so that no other one gets its identity.
            if kept is not None:
                known.move_to_end(key)
                return kept[1]
            result = function(value, *rest, **named)
            known[key] = (value, result)
            if len(known) > most:
                known.popitem(last=False)
            return result

        remembered.__doc__ = function.__doc__
        return remembered

    return remembering
