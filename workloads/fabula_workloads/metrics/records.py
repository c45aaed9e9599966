"""What an evaluation is made of: what each arm said to each sequence, and how each metric stood its trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Key = tuple[str, str, int]
"""(arm, sample, seed)."""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """One outcome of an infer ledger. `text` is None where no answer could be generated."""

    arm: str
    sample: str
    seed: int
    text: str | None
    tokens: int = 0
    seconds: float = 0.0
    finish: Literal["stop", "length"] = "stop"
    reason: str = ""

    @property
    def key(self) -> Key:
        return self.arm, self.sample, self.seed


@dataclass(frozen=True, slots=True)
class Tried:
    """A self-test's outcome. `known_defect` marks a failure that is part of a published definition."""

    metric: str
    profile: str
    what: str
    passed: bool
    message: str
    known_defect: bool = False
