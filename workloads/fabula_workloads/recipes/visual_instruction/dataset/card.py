"""The dataset's card: what is in it, in figures, and what became of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from fabula_workloads.recipes.visual_instruction.dataset.choosing import Chosen
from fabula_workloads.recipes.visual_instruction.sample import VideoSample

_BAR = 40
_BINS = 20


def card(chosen: Sequence[Chosen], splits: Mapping[str, Sequence[VideoSample]], sheet: str | None) -> str:
    """Markdown. `sheet` is the path of the picture of moments, where there is one."""
    samples = [sample for members in splits.values() for sample in members]
    spans = [turn for sample in samples for turn in sample.turns if turn.unasked]
    lines = [
        "# Videos with replies at their seconds",
        "",
        f"{len(samples)} samples of {len({(sample.source, sample.video) for sample in samples})} videos.",
        "",
        *([f"![Moments at which something is to be said]({sheet})", ""] if sheet else []),
        "| split | samples | videos | pictures a sample | replies a sample |",
        "|---|---|---|---|---|",
        *(_split(name, members) for name, members in splits.items()),
        "",
        "| task | samples |",
        "|---|---|",
        *(f"| {task} | {count} |" for task, count in sorted(Counter(sample.task for sample in samples).items())),
        "",
        "## What became of every row",
        "",
        "| source | outcome | rows |",
        "|---|---|---|",
    ]
    outcomes = Counter((one.row.source, one.reason or "used") for one in chosen)
    lines += [f"| {source} | {reason} | {count} |" for (source, reason), count in sorted(outcomes.items())]
    lines += ["", "`rows.jsonl` has it row by row.", ""]
    lines += _histogram("Seconds of a span", [(turn.end or 0.0) - (turn.start or 0.0) for turn in spans])
    lines += _histogram(
        "Seconds from a sample's start to its span",
        [(turn.start or 0.0) - sample.start for sample in samples for turn in sample.turns if turn.unasked],
    )
    lines += _histogram("Pictures of a sample", [float(len(sample.frames)) for sample in samples])
    return "\n".join(lines) + "\n"


def _split(name: str, members: Sequence[VideoSample]) -> str:
    if not members:
        return f"| {name} | 0 | 0 | - | - |"
    frames = sum(len(sample.frames) for sample in members) / len(members)
    replies = sum(turn.speaker == "model" for sample in members for turn in sample.turns) / len(members)
    videos = len({(sample.source, sample.video) for sample in members})
    return f"| {name} | {len(members)} | {videos} | {frames:.1f} | {replies:.2f} |"


def _histogram(title: str, values: Iterable[float]) -> list[str]:
    found = sorted(values)
    if not found:
        return []
    step = max(1, -(-int(found[-1] + 1) // _BINS))
    counts = Counter(int(max(value, 0.0) // step) for value in found)
    most = max(counts.values())
    bars = [
        f"{f'{place * step}-{(place + 1) * step}':>9}  {counts[place]:>7}  {'#' * round(_BAR * counts[place] / most)}"
        for place in range(max(counts) + 1)
    ]
    return [f"## {title}", "", "```", *bars, "```", ""]
