"""A row of a file that is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Where it stands, and why it cannot be used."""

    place: str
    why: str
