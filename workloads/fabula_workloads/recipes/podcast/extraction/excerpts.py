"""What extraction yields, whoever extracts: excerpts with their scenes, and the checks that each must pass.

The checks are computed from the text itself, never from what a model says about it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from fabula_workloads.bedrock.usage import UsageRecord
from fabula_workloads.recipes.podcast.dialogue import Turn
from fabula_workloads.text.words import num_words, words_of

MARKERS = ("[inaudible]", "[sigh]", "[music]", "[laughter]")
_MAX_MARKERS = 2
_MAX_TRIGRAM = 5
_TRIGRAM, _TRIGRAM_WITHOUT_SPACES = 3, 6
"""Three words; where a script is written without spaces, six characters are about as many."""
_TRIGRAM_FROM_WORDS = 50


@dataclass(frozen=True, slots=True)
class Episode:
    """One line of the ingest artifact."""

    id: str
    podcast: str
    turns: tuple[Turn, ...]

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Episode:
        """The episode of a parsed line."""
        turns = tuple(Turn(turn["speaker"], turn["text"]) for turn in record["turns"])
        return cls(record["id"], record["podcast"], turns)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of an episode and the scenes to draw for it, in the order of the text."""

    text: str
    scenes: tuple[str, ...]
    verbatim_ratio: float | None = None
    """Share of its word 5-grams that stand in the transcript; None where it was cut from it, and so is the same."""

    @property
    def words(self) -> int:
        """Words, labels included."""
        return num_words(self.text)


@dataclass(frozen=True, slots=True)
class Asked:
    """By what a language model was asked about an episode, and what it took."""

    model: str
    prompt_version: str
    prompt_digest: str
    usage: UsageRecord
    replies: Counter[str]
    """By kind."""
    grams: int
    """Word 5-grams of the accepted excerpts."""
    grams_found: int
    """Those of them that stand in the transcript."""


@dataclass
class Extraction:
    """All that was found in one episode. Without excerpts, `reason` says why there are none, in one CamelCase word."""

    excerpts: list[Excerpt] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    reason: str | None = None
    failed: bool = False
    """Whether there are none because something failed for good, and not because there is nothing."""
    partial: bool = False
    """Whether the budget ended before the episode did: what was found is used, and a later start goes on from there."""
    asked: Asked | None = None
    """None where no model was asked."""


class Extractor(Protocol):
    """Finds the excerpts of an episode: by rules, or by asking a language model."""

    def extract(self, episode: Episode) -> Extraction:
        """All excerpts of the episode, or the reason why there are none."""
        ...


def rejection(text: str, min_words: int, max_words: int) -> str | None:
    """Why an excerpt is rejected; None when it is good. Checked in this order: length, repetition, markers."""
    words = words_of(text)
    if len(words) > max_words:
        return "TooLong"
    if len(words) < min_words:
        return "TooShort"
    if len(words) >= _TRIGRAM_FROM_WORDS:
        width = _TRIGRAM_WITHOUT_SPACES if len(words) > 2 * len(text.split()) else _TRIGRAM
        trigrams = Counter(zip(*(words[start:] for start in range(width)), strict=False))
        if trigrams.most_common(1)[0][1] > _MAX_TRIGRAM:
            return "Repetition"
    lowered = text.lower()
    return "TooManyMarkers" if sum(lowered.count(marker) for marker in MARKERS) > _MAX_MARKERS else None
