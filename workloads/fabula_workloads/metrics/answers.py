"""Answers as the evaluation sees them: what each arm said to each sequence, and what was measured on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fabula_workloads.metrics.clip_score import Grounding
from fabula_workloads.metrics.format_compliance import violation
from fabula_workloads.metrics.profiles import PROFILES, Values

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
class ClipFigures:
    """What CLIP says, by answer. `random_weights` marks a model that was never trained: its figures mean nothing."""

    model: str
    random_weights: bool
    v2: dict[Key, Grounding] = field(default_factory=dict)
    paper_v1: dict[Key, float] = field(default_factory=dict)

    def value(self, profile: str, key: Key) -> float | None:
        """The profile's `clip-score` of one answer."""
        if profile == "paper-v1":
            return self.paper_v1.get(key)
        grounding = self.v2.get(key)
        return grounding.score if grounding else None


@dataclass(frozen=True, slots=True)
class Measured:
    """An answer with its figures by profile."""

    answer: GivenAnswer
    values: dict[str, Values]
    parseable: dict[str, bool]
    violation: str | None
    """The format rule that it breaks."""


def measure_answer(answer: GivenAnswer, profiles: list[str], metrics: list[str], clip: ClipFigures | None) -> Measured:
    """Figures of one answer under each profile; an answer that could not be generated has none."""
    if answer.text is None:
        return Measured(answer, {profile: dict.fromkeys(metrics) for profile in profiles}, {}, None)
    values: dict[str, Values] = {}
    for profile in profiles:
        measured = PROFILES[profile].measure(answer.text)
        if clip is not None:
            measured["clip-score"] = clip.value(profile, answer.key)
        values[profile] = {metric: measured.get(metric) for metric in metrics}
    parseable = {profile: PROFILES[profile].parseable(answer.text) for profile in profiles}
    return Measured(answer, values, parseable, violation(answer.text))
