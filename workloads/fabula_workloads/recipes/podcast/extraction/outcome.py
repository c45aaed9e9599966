"""An episode's outcome in the ledger of `extract`: its excerpts, or why there are none, and what finding them took."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from fabula_workloads.bedrock.usage import UsageRecord
from fabula_workloads.recipes.podcast.extraction.excerpts import Excerpt, Extraction
from fabula_workloads.runtime.outcomes import Kept, Outcome


class KeptScene(Kept):
    """A picture to draw for an excerpt."""

    index: int
    """From 1, in the order of the text."""
    prompt: str


class KeptExcerpt(Kept):
    """An excerpt that passed its checks."""

    index: int
    text: str
    words: int
    """Labels included."""
    scenes: tuple[KeptScene, ...]
    verbatim_ratio: float | None = None
    """Share of its word 5-grams that stand in the transcript; None where it was cut from it."""


class Verbatim(Kept):
    """Word 5-grams of the accepted excerpts, and those of them that stand in the transcript."""

    grams: int = 0
    matched: int = Field(0, alias="found")


class ExtractOutcome(Outcome):
    """Of one episode. What a model was asked by, and what it cost, only where one was."""

    podcast: str = ""
    excerpts: tuple[KeptExcerpt, ...] = ()
    rejected: dict[str, int] = Field(default_factory=dict)
    """Excerpts that failed a check, by reason."""
    partial: bool = False
    """Whether the budget ended before the episode did."""
    model: str | None = None
    prompt_version: str | None = None
    prompt_digest: str | None = None
    usage: UsageRecord | None = None
    replies: dict[str, int] = Field(default_factory=dict)
    """By kind."""
    verbatim: Verbatim | None = None

    def tally(self) -> Counter[str]:
        """Its figures, as `kind/outcome/Reason`."""
        counts = Counter({"extract/partial" if self.partial else self.counted_as("extract"): 1})
        counts["excerpt/ok"] += len(self.excerpts)
        counts.update({f"excerpt/rejected/{name}": count for name, count in self.rejected.items()})
        counts.update({f"reply/{name}": count for name, count in self.replies.items()})
        if self.verbatim is not None:
            counts.update({"verbatim/grams": self.verbatim.grams, "verbatim/found": self.verbatim.matched})
        return +counts


def outcome_of(extraction: Extraction, podcast: str) -> ExtractOutcome:
    """What the ledger keeps of an extraction."""
    excerpts = tuple(_kept(index, excerpt) for index, excerpt in enumerate(extraction.excerpts))
    made = ExtractOutcome(
        outcome="ok", podcast=podcast, excerpts=excerpts, rejected=dict(sorted(extraction.rejected.items()))
    )
    if not excerpts:
        made = made.replace(outcome="failed" if extraction.failed else "skipped", reason=extraction.reason)
    if extraction.partial:
        made = made.replace(partial=True)
    asked = extraction.asked
    if asked is None:
        return made
    return made.replace(
        model=asked.model,
        prompt_version=asked.prompt_version,
        prompt_digest=asked.prompt_digest,
        usage=asked.usage,
        replies=dict(sorted(asked.replies.items())),
        verbatim=Verbatim(grams=asked.grams, matched=asked.grams_found),
    )


def _kept(index: int, excerpt: Excerpt) -> KeptExcerpt:
    scenes = tuple(KeptScene(index=number, prompt=prompt) for number, prompt in enumerate(excerpt.scenes, 1))
    kept = KeptExcerpt(index=index, text=excerpt.text, words=excerpt.words, scenes=scenes)
    return kept if excerpt.verbatim_ratio is None else kept.replace(verbatim_ratio=excerpt.verbatim_ratio)
