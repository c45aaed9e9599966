"""Controls: what is had without watching. An arm that does not beat them has shown nothing.

Published time accuracy can be had by speaking one second after the start: 100 % of the gestures, 68 % of the wake-ups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from fabula_workloads.recipes.visual_instruction.benchmarks.reply import Reply, Span

ONE_SECOND = 1.0
ONE_SECOND_LATE, ONE_LETTER, ALWAYS_YES = "speaks after one second", "one letter for all", "always yes"
"""What the controls are called beside arms."""


def one_second_after(start: float, words: str = "") -> Reply:
    """Speaks one second after it may, whatever there is to see."""
    return Reply(words, start + ONE_SECOND)


def early_time_accuracy(moments: Iterable[tuple[float, Span]], margin: float = 2.0) -> float:
    """Time accuracy of `one_second_after`, of (start, span). Raises ValueError where there is none."""
    hits = [span.holds(one_second_after(start).at, margin) for start, span in moments]
    if not hits:
        raise ValueError("no moments")
    return sum(hits) / len(hits)


def constant_letter(wanted: Sequence[str]) -> tuple[str, float]:
    """The letter that is right most often, and the share in which it is. Raises ValueError where nothing is asked."""
    if not wanted:
        raise ValueError("no questions")
    best, times = max(sorted(Counter(wanted).items()), key=lambda counted: counted[1])
    return best, times / len(wanted)


def always_yes(wanted: Sequence[str]) -> float:
    """Share of yes-or-no questions that an everlasting yes gets right. Raises ValueError where nothing is asked."""
    if not wanted:
        raise ValueError("no questions")
    return sum(answer == "Yes" for answer in wanted) / len(wanted)
