"""Every check of an excerpt that a model returned, computed from the texts themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fabula_workloads.recipes.podcast.dialogue import tidy, written
from fabula_workloads.recipes.podcast.extraction.alignment import (
    MIN_SPEAKER_AGREEMENT,
    Alignment,
    Transcript,
    parse_dialogue,
)
from fabula_workloads.recipes.podcast.extraction.excerpts import Excerpt, rejection
from fabula_workloads.recipes.podcast.extraction.near_duplicates import NearDuplicates
from fabula_workloads.recipes.podcast.extraction.rules import relabelled

SAME_EPISODE_JACCARD = 0.3
"""Within one episode, excerpts that share this much overlap: chunks do, and models return a stretch twice."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A good excerpt, or why it is none."""

    excerpt: Excerpt | None
    alignment: Alignment
    reason: str = ""


class ExcerptChecks:
    """The checks for one episode; it remembers what it let pass."""

    def __init__(
        self, transcript: Transcript, words: tuple[int, int], num_scenes: int, min_verbatim_ratio: float
    ) -> None:
        self._transcript = transcript
        self._words = words
        self._num_scenes = num_scenes
        self._min_verbatim_ratio = min_verbatim_ratio
        self._passed = NearDuplicates(SAME_EPISODE_JACCARD)

    def check(self, text: str, scenes: Sequence[str], labels: set[str]) -> Checked:
        """`labels` are the speakers that the model was shown. Speakers are numbered anew from 1 in what passes."""
        nothing = Alignment(0, 0, 0)
        turns = parse_dialogue(text)
        if turns is None:
            return Checked(None, nothing, "NoSpeakers")
        speakers = {turn.speaker for turn in turns}
        if not speakers <= labels:
            return Checked(None, nothing, "UnknownSpeaker")
        if len(speakers) < 2:
            return Checked(None, nothing, "Monologue")
        final = written(relabelled(turns))
        if reason := rejection(final, *self._words):
            return Checked(None, nothing, reason)
        alignment = self._transcript.align(turns)
        if alignment.verbatim_ratio < self._min_verbatim_ratio:
            return Checked(None, alignment, "NotVerbatim")
        if alignment.speaker_agreement < MIN_SPEAKER_AGREEMENT:
            return Checked(None, alignment, "WrongSpeakers")
        plain = tuple(dict.fromkeys(clean for scene in scenes if (clean := tidy(scene))))
        if len(plain) < self._num_scenes:
            return Checked(None, alignment, "TooFewScenes")
        if self._passed.seen(final):
            return Checked(None, alignment, "Duplicate")
        ratio = round(alignment.verbatim_ratio, 4)
        return Checked(Excerpt(final, plain[: self._num_scenes], verbatim_ratio=ratio), alignment)
