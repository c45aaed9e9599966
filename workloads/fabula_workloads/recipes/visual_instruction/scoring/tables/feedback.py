"""ViSpeak-Bench: time accuracy, text score and their product by subtask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fabula_api.metrics import ProfileName
from fabula_api.recipes.visual_instruction.build import Task
from fabula_workloads.recipes.visual_instruction.benchmarks import controls
from fabula_workloads.recipes.visual_instruction.benchmarks.vispeak import (
    SUBTASKS,
    Scored,
    Subtask,
    SubtaskFigures,
    choice_figures,
    subtask_figures,
    total,
)
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.scoring.measures import choice
from fabula_workloads.recipes.visual_instruction.scoring.tables.given import Given, given_by
from fabula_workloads.recipes.visual_instruction.scoring.tables.grid import DASH, GridRow, grid
from fabula_workloads.report.markup import Markup
from fabula_workloads.report.parts import Told

SUBTASK_OF: Mapping[Task, Subtask] = {
    "wake-up": "VW", "anomaly": "AW", "gesture": "GU", "reference": "VR", "interruption": "VI", "humor": "HR",
    "termination": "VT",
}  # fmt: skip
_HINT = (
    "Replies on time in per cent, and the judges' mean points of 5 for those. Overall is the mean over subtasks of "
    "time x text; visual reference (VR) is multiple choice, and always on time."
)


def feedback_figures(answers: Sequence[Given], profile: ProfileName) -> dict[Subtask, SubtaskFigures]:
    """Figures by subtask."""
    by: dict[Subtask, list[Given]] = {}
    for answer in answers:
        if answer.sample.bench == "feedback" and answer.sample.task in SUBTASK_OF:
            by.setdefault(SUBTASK_OF[answer.sample.task], []).append(answer)
    by_task: dict[Subtask, SubtaskFigures] = {}
    for name, members in by.items():
        chosen = [answer for answer in members if answer.sample.options]
        if chosen:
            by_task[name] = choice_figures(
                choice(answer.sample, answer.sample.reply(answer.text).text, profile) for answer in chosen
            )
            continue
        timed = [answer for answer in members if answer.sample.span is not None]
        if timed:
            by_task[name] = subtask_figures(
                [Scored(answer.sample.on_time(answer.sample.reply(answer.text)), answer.points) for answer in timed]
            )
    return by_task


def feedback_table(told: Told, profile: ProfileName) -> Markup | None:
    """The table; None without a sample of it."""
    arms = {arm.name: list(given_by(told, arm.name)) for arm in told.evaluation.arms}
    figures = {name: feedback_figures(answers, profile) for name, answers in arms.items()}
    names = [name for name in SUBTASKS if any(name in subtasks for subtasks in figures.values())]
    if not names:
        return None
    rows = [GridRow(name, _cells(names, subtasks)) for name, subtasks in figures.items()]
    clips = {answer.sample.id: answer.sample for answers in arms.values() for answer in answers}
    rows.append(GridRow(controls.ONE_SECOND_LATE, _cells(names, _early(list(clips.values()))), control=True))
    if chosen := [clip.answer or "" for clip in clips.values() if clip.bench == "feedback" and clip.options]:
        best, share = controls.constant_letter(chosen)
        cells = [f"{5 * share:.2f}" if name == "VR" else DASH for name in (*names, "Time", "Text", "Overall")]
        rows.append(GridRow(f"{controls.ONE_LETTER}: {best}", cells, control=True))
    missing = total(next(iter(figures.values()))).missing
    lacks = f" Overall lacks {', '.join(missing)}, of which there is no sample." if missing else ""
    return grid("ViSpeak-Bench", _HINT + lacks, [*names, "Time", "Text", "Overall"], rows)


def _early(clips: Sequence[ClipSample]) -> dict[Subtask, SubtaskFigures]:
    by: dict[Subtask, list[Scored]] = {}
    for clip in clips:
        if clip.bench == "feedback" and clip.task in SUBTASK_OF and clip.span is not None and not clip.options:
            reply = controls.one_second_after(max(clip.begins, clip.start))
            by.setdefault(SUBTASK_OF[clip.task], []).append(Scored(clip.on_time(reply), None))
    return {name: subtask_figures(scored) for name, scored in by.items()}


def _cells(names: Sequence[Subtask], figures: Mapping[Subtask, SubtaskFigures]) -> list[str]:
    whole = total(figures)
    time = DASH if whole.time is None else f"{100 * whole.time:.2f} %"
    text, overall = (DASH if value is None else f"{value:.2f}" for value in (whole.text, whole.overall))
    # A control that was asked nothing has no words; were all of it late, that would still be no score.
    return [*(_cell(figures.get(name)) for name in names), time, text, overall if whole.text is not None else DASH]


def _cell(figures: SubtaskFigures | None) -> str:
    if figures is None:
        return DASH
    text = DASH if figures.text is None else f"{figures.text:.2f}"
    return f"{100 * figures.time:.1f} %, {text}"
