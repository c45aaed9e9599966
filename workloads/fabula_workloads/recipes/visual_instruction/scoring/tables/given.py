"""Answers beside their clips, as the tables count them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.rubrics import FEEDBACK
from fabula_workloads.report.parts import Told


@dataclass(frozen=True, slots=True)
class Given:
    """An answer beside its clip."""

    sample: ClipSample
    text: str
    points: float | None = None
    """Mean of the judges' points; None where none could be read, or none was asked for."""


def given_by(told: Told, arm: str) -> Iterator[Given]:
    """An arm's answers to clips. One that could not be generated is in no figure, as everywhere."""
    points: dict[str, list[float]] = {}
    for judge in told.judged.judges:
        if judge.rubric.name == FEEDBACK.name:
            for sample, value in judge.points.get(arm, {}).items():
                points.setdefault(sample, []).append(value)
    for measured in told.evaluation.answers:
        clip, text = told.samples.get(measured.answer.sample), measured.answer.text
        if measured.answer.arm == arm and isinstance(clip, ClipSample) and text is not None:
            awarded = points.get(clip.id)
            yield Given(clip, text, sum(awarded) / len(awarded) if awarded else None)
