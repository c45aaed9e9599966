"""The profiles by name, and the one way to measure an answer's text under each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fabula_workloads.metrics import paper_v1, v2
from fabula_workloads.metrics.format_compliance import format_compliance
from fabula_workloads.metrics.transcript_file import dump, load
from fabula_workloads.metrics.turns import Turn, paper_v1_turns, tolerant_turns

Values = dict[str, float | None]
"""Figures of one answer by metric; None where there is none."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One versioned set of definitions."""

    name: str
    version: int
    text_metrics: Callable[[str], Values]
    turns: Callable[[str], list[Turn]]

    def measure(self, text: str) -> Values:
        """Every text metric of one answer, and `format-compliance`, which both profiles define alike."""
        return {**self.text_metrics(text), "format-compliance": format_compliance(text)}

    def parseable(self, text: str) -> bool:
        """Whether the profile reads at least one turn."""
        return bool(self.turns(text))


def _as_loaded(text: str) -> str:
    """The text after a round trip through the transcript file, as the published scripts see it."""
    return load(dump("sample", text, 0.0))


PROFILES: dict[str, Profile] = {
    "paper-v1": Profile(
        "paper-v1", 1, lambda text: paper_v1.measure(_as_loaded(text)), lambda text: paper_v1_turns(_as_loaded(text))
    ),
    "v2": Profile("v2", 1, v2.measure, tolerant_turns),
}

DESCRIPTIONS: dict[str, tuple[str, str]] = {
    "format-compliance": ("Format compliance", "share of answers that keep the prompt's format"),
    "words": ("Words", "spoken words of an answer"),
    "turns": ("Turns", "turns of an answer"),
    "turn-length": ("Turn length", "mean words of a turn"),
    "switch-rate": ("Switch rate", "changes of speaker for each 1,000 words"),
    "distinct-2": ("Distinct-2", "share of distinct bigrams"),
    "clip-score": ("CLIPScore", "100 x cosine between pictures and their best passage"),
}
"""Metric: its name for people, and what it counts."""
