"""ViSpeak-Bench (arXiv 2503.12769, section 5): seven subtasks, each by when a model speaks and what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Subtask = Literal["VW", "AW", "GU", "VR", "VI", "HR", "VT"]
"""Visual wake-up, anomaly warning, gesture understanding, visual reference, visual interruption, humour reaction,
visual termination."""
SUBTASKS: tuple[Subtask, ...] = get_args(Subtask)
CHOICE: Subtask = "VR"
"""The one with options: always on time, and right or wrong."""
MOST = 5.0
"""The best score of a reply's text."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One reply. `score` is None where no judge could be read: it is counted apart and in no mean of texts."""

    on_time: bool
    score: float | None


@dataclass(frozen=True, slots=True)
class SubtaskFigures:
    """One subtask: time accuracy as a share, the mean text score of replies on time, and their product."""

    count: int
    on_time: int
    judged: int
    """Replies on time whose text has a score."""
    text: float | None
    """None where nothing was on time, or nothing of it could be judged."""

    @property
    def time(self) -> float:
        """Share of replies on time."""
        return self.on_time / self.count

    @property
    def overall(self) -> float | None:
        """Time accuracy x text score: 0 where nothing was on time, None where replies were and none was judged."""
        if self.on_time == 0:
            return 0.0
        return None if self.text is None else self.time * self.text


def subtask_figures(scored: Sequence[Scored]) -> SubtaskFigures:
    """Figures of one subtask. Raises ValueError for an empty one: a mean over nothing is no figure."""
    if not scored:
        raise ValueError("a subtask without replies has no figures")
    on_time = [answer for answer in scored if answer.on_time]
    scores = [answer.score for answer in on_time if answer.score is not None]
    text = sum(scores) / len(scores) if scores else None
    return SubtaskFigures(len(scored), len(on_time), len(scores), text)


def choice_figures(right: Iterable[bool]) -> SubtaskFigures:
    """Figures of visual reference: each reply is on time, and has 5 or 0."""
    return subtask_figures([Scored(True, MOST if hit else 0.0) for hit in right])


@dataclass(frozen=True, slots=True)
class Total:
    """What stands under "All" and "Overall" in the published table. None where a subtask has no figure for it."""

    time: float | None
    """Mean of the time accuracies of all subtasks but visual reference."""
    text: float | None
    """Mean of the text scores."""
    overall: float | None
    """Mean of time accuracy x text score over all subtasks."""
    missing: tuple[Subtask, ...]
    """Subtasks without a reply. A total over fewer than seven says which are not in it."""


def total(figures: Mapping[Subtask, SubtaskFigures]) -> Total:
    """Unweighted means over subtasks, as published, of those that there are."""
    known = [figures[name] for name in SUBTASKS if name in figures]
    timed = [figures[name].time for name in SUBTASKS if name in figures and name != CHOICE]
    return Total(
        time=_mean(timed),
        text=_mean([subtask.text for subtask in known]),
        overall=_mean([subtask.overall for subtask in known]),
        missing=tuple(name for name in SUBTASKS if name not in figures),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
