"""Which rows become samples, and what became of every other one. None is ever put in another's place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from fabula_api.recipes.visual_instruction.build import VisualInstructionBuild
from fabula_workloads.recipe_parts.datasets import Chosen
from fabula_workloads.recipes.visual_instruction.annotations.rows import Row
from fabula_workloads.recipes.visual_instruction.decode import Decoded, item_of
from fabula_workloads.recipes.visual_instruction.sample import VideoSample

VideoChosen: TypeAlias = Chosen[Row, VideoSample]


def choose(
    rows: Iterable[Row], outcomes: Mapping[str, Decoded], block: VisualInstructionBuild, target: int | None
) -> list[VideoChosen]:
    """Every row in order. `outcomes` are those of `decode`, by video."""
    teaches = {source.name: source.learn_when for source in block.sources}
    chosen: list[VideoChosen] = []
    taken = 0
    for row in rows:
        decoded = outcomes[item_of(row)]
        reason = decoded.problem(row.id)
        if reason is None and target is not None and taken >= target:
            reason = "TargetReached"
        if reason is not None:
            chosen.append(Chosen(row, None, reason))
            continue
        taken += 1
        chosen.append(Chosen(row, _sample(row, decoded, teaches[row.source])))
    return chosen


def _sample(row: Row, decoded: Decoded, learn_when: bool) -> VideoSample:
    window = decoded.windows[row.id]
    return VideoSample(
        id=row.id, source=row.source, video=row.video, task=row.task, start=row.start, end=window.end,
        shard=decoded.path or "", frames=window.frames, sound=decoded.sound, turns=row.turns_until(window.end),
        options=row.options, answer=row.answer, learn_when=learn_when,
    )  # fmt: skip
