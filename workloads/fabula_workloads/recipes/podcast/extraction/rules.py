"""Excerpts without a model: the windows of whole turns whose words show most, of the asked length, not overlapping.

Honest about what it is: it finds vocabulary, not stories. It makes the pipeline run anywhere, for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fabula_workloads.recipes.podcast.dialogue import Turn, written
from fabula_workloads.recipes.podcast.extraction.excerpts import Episode, Excerpt, Extraction, rejection
from fabula_workloads.recipes.podcast.extraction.scenes import scenes
from fabula_workloads.recipes.podcast.extraction.visual import num_abstract, num_known, visual_lemmas, weight

MIN_DENSITY = 0.05
"""Visual words less abstract ones, per word, from which a window counts as visual. Talk about software is near 0."""


@dataclass(frozen=True, slots=True)
class Window:
    """Turns `start` to `stop` (not included) and how visual they are."""

    start: int
    stop: int
    density: float
    """Visual words less abstract ones, per word."""
    score: float
    """What windows are chosen by: as density, but a longer window beats a shorter one that is hardly denser."""

    def overlaps(self, other: Window) -> bool:
        """Whether the two share a turn."""
        return self.start < other.stop and other.start < self.stop


def windows(turns: Sequence[Turn], min_words: int, max_words: int) -> Iterator[Window]:
    """Every run of whole turns of that many words (labels count) in which at least two speakers talk."""
    lemmas = [visual_lemmas(turn.text) for turn in turns]
    abstract = [num_abstract(turn.text) for turn in turns]
    words = [turn.words for turn in turns]
    for start in range(len(turns)):
        length, thoughts, shown, speakers = 0, 0, Counter[str](), set[str]()
        for stop in range(start, len(turns)):
            length += words[stop]
            if length > max_words:
                break
            thoughts += abstract[stop]
            shown.update(lemmas[stop])
            speakers.add(turns[stop].speaker)
            if length >= min_words and len(speakers) >= 2:
                net = weight(shown, thoughts)
                yield Window(start, stop + 1, net / length, net / (length + max_words))


class RulesExtractor:
    """An `Extractor` by vocabulary, which is English. Equal input gives equal excerpts."""

    def __init__(self, *, min_words: int, max_words: int, max_excerpts: int, scenes_per_excerpt: int) -> None:
        self._min_words = min_words
        self._max_words = max_words
        self._max_excerpts = max_excerpts
        self._num_scenes = scenes_per_excerpt

    def extract(self, episode: Episode) -> Extraction:
        """The best windows that do not overlap, in the order of the episode."""
        turns = episode.turns
        if len({turn.speaker for turn in turns}) < 2:
            return Extraction(reason="SingleSpeaker")
        candidates = list(windows(turns, self._min_words, self._max_words))
        if not candidates:
            return Extraction(reason="NoWindow")
        visual = [window for window in candidates if window.density >= MIN_DENSITY]
        if not visual:
            known = any(num_known(turn.text) for turn in turns)
            return Extraction(reason="NotVisual" if known else "NoKnownWord")
        accepted: list[tuple[int, Excerpt]] = []
        rejected: Counter[str] = Counter()
        taken: list[Window] = []
        for window in sorted(visual, key=lambda window: (-window.score, window.start, window.stop)):
            if len(accepted) == self._max_excerpts:
                break
            if any(window.overlaps(other) for other in taken):
                continue
            # A rejected window blocks its stretch too: its neighbours say the same, and would be counted again.
            taken.append(window)
            excerpt = self._excerpt(turns[window.start : window.stop])
            reason = rejection(excerpt.text, self._min_words, self._max_words)
            if reason is None and len(excerpt.scenes) < self._num_scenes:
                reason = "TooFewScenes"
            if reason:
                rejected[reason] += 1
            else:
                accepted.append((window.start, excerpt))
        excerpts = [excerpt for _, excerpt in sorted(accepted, key=lambda pair: pair[0])]
        return Extraction(excerpts, rejected, None if excerpts else "NoValidExcerpt")

    def _excerpt(self, turns: Sequence[Turn]) -> Excerpt:
        return Excerpt(written(relabelled(turns)), scenes(turns, self._num_scenes))


def relabelled(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with speakers numbered from 1 in order of appearance, as a dialogue of its own has them."""
    labels: dict[str, str] = {}
    return [Turn(labels.setdefault(turn.speaker, f"Speaker {len(labels) + 1}"), turn.text) for turn in turns]
