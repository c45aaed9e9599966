"""One line of what `fabula doctor` says, and what it could not look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from fabula_kube.errors import ApiError

State = Literal["OK", "MISSING", "DIFFERS", "NOTE"]
"""`NOTE`: nothing is wrong, but something is left out, or could not be seen with the user's rights. `DIFFERS`: it was
tried, and is not as Fabula takes it to be."""
NOT_FOUND = "NotFound"
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Check:
    """One line."""

    about: str
    state: State
    said: str
    """What was found and, where something is missing, what to do."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """What could not be looked at, and why: no right to, or no such resource."""

    why: str


def seen(look: Callable[[], Found]) -> Found | Unseen:
    """What a look at the cluster brings, or why it brings nothing."""
    try:
        return look()
    except ApiError as error:
        # A server that does not have the path at all answers without a Status, and so without a reason.
        reason = NOT_FOUND if error.not_found else error.reason
        return Unseen(str(error.code) if reason == "Unknown" else reason)
