"""Parts of a dataset's card that recipes have in common: bars, and what became of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

_LONGEST, _BINS = 40, 20


def bars(counts: Mapping[str, int]) -> list[str]:
    """A row of `#` for each count, the longest of 40; what is there has one at least."""
    top = max(counts.values(), default=0)
    width = max((len(label) for label in counts), default=0)
    return [
        f"{label:>{width}} | {'#' * max(1, round(_LONGEST * count / top)) if count else ''} {count}"
        for label, count in counts.items()
    ]


def histogram(title: str, values: Iterable[float]) -> list[str]:
    """Markdown: how many of the values are in each of at most 20 equal parts, by whole numbers from 0; a part takes
    what is less than its end. Nothing for no values."""
    counts = Counter(int(max(value, 0.0)) for value in values)
    if not counts:
        return []
    last = max(counts)
    step = -(-(last + 1) // _BINS)
    parts = {
        str(start) if step == 1 else f"{start}-{start + step - 1}": sum(counts[start + n] for n in range(step))
        for start in range(0, last + 1, step)
    }
    return [f"## {title}", "", "```", *bars(parts), "```", ""]


def rows_became(outcomes: Mapping[tuple[str, str], int], further: Iterable[tuple[str, str, int]] = ()) -> list[str]:
    """Markdown: how many rows of each source had each outcome, and what more is to be said of those that are used."""
    lines = ["## What became of every row", "", "| source | outcome | rows |", "|---|---|---|"]
    lines += [f"| {source} | {outcome} | {count} |" for (source, outcome), count in sorted(outcomes.items())]
    lines += [f"| {source} | {outcome} | {count} |" for source, outcome, count in further]
    return [*lines, "", "`rows.jsonl` has it row by row.", ""]
