"""What a model that watches said, and when."""

from __future__ import annotations

from dataclasses import dataclass

MARGIN = 2.0
"""Seconds after its span in which a reply is still on time (ViSpeak-Bench, arXiv 2503.12769, and StreamingBench)."""


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds of the video between which something is to be seen."""

    start: float
    end: float

    def holds(self, at: float | None, margin: float = MARGIN) -> bool:
        """Whether a reply at `at` is on time. Silence, None, never is."""
        return at is not None and max(0.0, self.start) <= at <= self.end + margin


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply; `at` is None where the model stayed silent, which is a value of its own and no time."""

    text: str
    at: float | None

    @property
    def silent(self) -> bool:
        """Whether nothing was said."""
        return self.at is None


SILENCE = Reply("", None)
