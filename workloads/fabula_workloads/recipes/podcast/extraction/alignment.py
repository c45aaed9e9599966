"""Is it really in the transcript, and did these people say it? Models paraphrase, tidy up and mix up speakers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fabula_workloads.recipes.podcast.dialogue import Turn, tidy
from fabula_workloads.text.labels import labelled
from fabula_workloads.text.words import words_of

GRAM = 5
MIN_SPEAKER_AGREEMENT = 0.8
"""Least share of an excerpt's found 5-grams that its own speaker says in the transcript."""
_WORD = re.compile(r"\w+(?:['’]\w+)*")


@dataclass(frozen=True, slots=True)
class Alignment:
    """How an excerpt stands to its transcript, in word 5-grams."""

    grams: int
    matched: int
    """Of these, how many stand in the transcript."""
    agreed: int
    """Of those, how many are said there by the speaker that the excerpt names."""

    @property
    def verbatim_ratio(self) -> float:
        """Share that stands in the transcript; 0 for a text too short to tell."""
        return self.matched / self.grams if self.grams else 0.0

    @property
    def speaker_agreement(self) -> float:
        """Share of what was found that the named speaker says; 0 when nothing was found."""
        return self.agreed / self.matched if self.matched else 0.0


class Transcript:
    """An episode's 5-grams, and who says each."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self._speakers: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for gram, speaker in _grams(turns):
            self._speakers[gram].add(speaker)

    def align(self, turns: Sequence[Turn]) -> Alignment:
        """Compare an excerpt. Case, punctuation and the cut into turns do not count."""
        grams = list(_grams(turns))
        matched = [(gram, speaker) for gram, speaker in grams if gram in self._speakers]
        agreed = sum(speaker in self._speakers[gram] for gram, speaker in matched)
        return Alignment(len(grams), len(matched), agreed)


def parse_dialogue(text: str) -> list[Turn] | None:
    """The turns of a written dialogue; a line without a label goes on with the turn before. None without any label."""
    turns: list[Turn] = []
    for line in text.splitlines():
        if opened := labelled(line.strip()):
            turns.append(Turn(opened.speaker, tidy(opened.text)))
        elif line.strip():
            if not turns:
                return None
            turns[-1] = Turn(turns[-1].speaker, tidy(f"{turns[-1].text} {line}"))
    return [turn for turn in turns if turn.text] or None


def _grams(turns: Iterable[Turn]) -> Iterator[tuple[tuple[str, ...], str]]:
    """(5-gram, speaker of its first word) over the words of all turns, without labels."""
    words = [
        (word, turn.speaker)
        for turn in turns
        for run in _WORD.findall(turn.text.lower().replace("’", "'"))
        for word in words_of(run)
    ]
    for start in range(len(words) - GRAM + 1):
        yield tuple(word for word, _ in words[start : start + GRAM]), words[start][1]
