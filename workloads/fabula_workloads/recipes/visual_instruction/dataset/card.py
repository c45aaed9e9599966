"""The dataset's card: what is in it, in figures, and what became of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fabula_workloads.recipe_parts.card import histogram, rows_became
from fabula_workloads.recipes.visual_instruction.dataset.choosing import VideoChosen
from fabula_workloads.recipes.visual_instruction.sample import VideoSample


def card(chosen: Sequence[VideoChosen], splits: Mapping[str, Sequence[VideoSample]], sheet: str | None) -> str:
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
    ]
    outcomes = Counter((choice.row.source, choice.reason or "used") for choice in chosen)
    lines += rows_became(outcomes)
    lines += histogram("Seconds of a span", [(turn.end or 0.0) - (turn.start or 0.0) for turn in spans])
    lines += histogram(
        "Seconds from a sample's start to its span",
        [(turn.start or 0.0) - sample.start for sample in samples for turn in sample.turns if turn.unasked],
    )
    lines += histogram("Pictures of a sample", [float(len(sample.frames)) for sample in samples])
    return "\n".join(lines) + "\n"


def _split(name: str, members: Sequence[VideoSample]) -> str:
    if not members:
        return f"| {name} | 0 | 0 | - | - |"
    frames = sum(len(sample.frames) for sample in members) / len(members)
    replies = sum(turn.speaker == "model" for sample in members for turn in sample.turns) / len(members)
    videos = len({(sample.source, sample.video) for sample in members})
    return f"| {name} | {len(members)} | {videos} | {frames:.1f} | {replies:.2f} |"
