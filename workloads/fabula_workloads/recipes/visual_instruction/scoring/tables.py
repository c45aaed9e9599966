"""The benchmarks' tables for the report: arms by subtask, and controls beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fabula_api.recipes.visual_instruction.build import Task
from fabula_workloads.metrics.evaluation import Evaluation
from fabula_workloads.recipes.visual_instruction.benchmarks import controls, ovo, streaming
from fabula_workloads.recipes.visual_instruction.benchmarks.vispeak import (
    Scored,
    Subtask,
    SubtaskFigures,
    choice_figures,
    subtask_figures,
    total,
)
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.rubrics import FEEDBACK
from fabula_workloads.recipes.visual_instruction.scoring.measures import choice, is_right
from fabula_workloads.report.markup import Markup, join, tag
from fabula_workloads.report.parts import Told

SUBTASK_OF: Mapping[Task, Subtask] = {
    "wake-up": "VW", "anomaly": "AW", "gesture": "GU", "reference": "VR", "interruption": "VI", "humor": "HR",
    "termination": "VT",
}  # fmt: skip
ONE_SECOND, LETTER, ALWAYS_YES = "speaks after one second", "one letter for all", "always yes"
_DASH = "–"


@dataclass(frozen=True, slots=True)
class Given:
    """An answer beside its clip."""

    sample: ClipSample
    text: str
    points: float | None = None


def given_by(told: Told, arm: str) -> Iterator[Given]:
    """An arm's answers to clips; one that could not be given says nothing."""
    points: dict[str, list[float]] = {}
    for judge in told.judged.judges:
        if judge.rubric.name == FEEDBACK.name:
            for sample, value in judge.points.get(arm, {}).items():
                points.setdefault(sample, []).append(value)
    for measured in told.evaluation.answers:
        clip = told.samples.get(measured.answer.sample)
        if measured.answer.arm == arm and isinstance(clip, ClipSample):
            own = points.get(clip.id)
            yield Given(clip, measured.answer.text or "", sum(own) / len(own) if own else None)


def feedback_figures(answers: Sequence[Given], evaluation: Evaluation) -> dict[Subtask, SubtaskFigures]:
    """Figures by subtask of ViSpeak-Bench."""
    by: dict[Subtask, list[Given]] = {}
    for one in answers:
        if one.sample.bench == "feedback" and one.sample.task in SUBTASK_OF:
            by.setdefault(SUBTASK_OF[one.sample.task], []).append(one)
    found: dict[Subtask, SubtaskFigures] = {}
    for name, members in by.items():
        chosen = [one for one in members if one.sample.options]
        if chosen:
            found[name] = choice_figures(
                choice(one.sample, one.sample.reply(one.text).text, evaluation.profile) for one in chosen
            )
            continue
        timed = [one for one in members if one.sample.span is not None]
        if timed:
            found[name] = subtask_figures(
                [Scored(one.sample.on_time(one.sample.reply(one.text)), one.points) for one in timed]
            )
    return found


def feedback_table(told: Told) -> Markup | None:
    """ViSpeak-Bench's table; None without a sample of it."""
    rows: list[tuple[str, dict[Subtask, SubtaskFigures]]] = []
    clips: list[ClipSample] = []
    for arm in told.evaluation.arms:
        answers = list(given_by(told, arm.name))
        clips = clips or [one.sample for one in answers]
        rows.append((arm.name, feedback_figures(answers, told.evaluation)))
    names = list(dict.fromkeys(name for _, figures in rows for name in figures))
    if not names:
        return None
    rows.append((ONE_SECOND, _early(clips)))
    head = tag("tr", tag("th", "Time accuracy, text of 5"), *(tag("th", name) for name in names), tag("th", "Overall"))
    body = [
        tag("tr", tag("th", name), *(_cell(figures.get(one)) for one in names), _overall(name, figures))
        for name, figures in rows
    ]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="card scroll")


def _early(clips: Sequence[ClipSample]) -> dict[Subtask, SubtaskFigures]:
    by: dict[Subtask, list[Scored]] = {}
    for clip in clips:
        if clip.bench == "feedback" and clip.task in SUBTASK_OF and clip.span is not None:
            reply = controls.one_second_after(max(clip.begins, clip.start))
            by.setdefault(SUBTASK_OF[clip.task], []).append(Scored(clip.on_time(reply), None))
    return {name: subtask_figures(scored) for name, scored in by.items()}


def _cell(figures: SubtaskFigures | None) -> Markup:
    if figures is None:
        return tag("td", _DASH, class_="number")
    text = _DASH if figures.text is None else f"{figures.text:.2f}"
    return tag("td", f"{100 * figures.time:.1f} %, {text}", class_="number")


def _overall(name: str, figures: dict[Subtask, SubtaskFigures]) -> Markup:
    whole = total(figures)
    value = _DASH if whole.overall is None or name == ONE_SECOND else f"{whole.overall:.2f}"
    lacks = f" without {', '.join(whole.missing)}" if whole.missing and value != _DASH else ""
    return tag("td", f"{value}{lacks}", class_="number")


def streaming_table(told: Told) -> Markup | None:
    """StreamingBench's groups; None without a question of it."""
    rows = []
    wanted: list[str] = []
    for arm in told.evaluation.arms:
        tallies: dict[str, streaming.Tally] = {}
        wanted = []
        for one in given_by(told, arm.name):
            if one.sample.bench == "streaming":
                right = is_right(one.sample, one.text, told.evaluation.profile)
                tally = tallies.get(one.sample.subtask, streaming.Tally(0, 0))
                tallies[one.sample.subtask] = tally + streaming.Tally(int(right), 1)
                if one.sample.subtask != streaming.PROACTIVE:
                    wanted.append(one.sample.answer or "")
        if tallies:
            groups = streaming.pooled(tallies)
            cells = [f"{name} {tally.accuracy:.2f} % of {tally.count}" for name, tally in sorted(groups.items())]
            rows.append((arm.name, [*cells, f"overall {streaming.overall(groups):.2f} %"]))
    if not rows:
        return None
    if wanted:
        best, share = controls.constant_letter(wanted)
        rows.append((LETTER, [f"{best}: {100 * share:.2f} % of {len(wanted)} with options"]))
    return _lines("StreamingBench", rows)


def ovo_table(told: Told) -> Markup | None:
    """OVO-Bench's tasks with both means, each by its name; None without a question of it."""
    rows = []
    probes: list[ovo.Probe] = []
    for arm in told.evaluation.arms:
        probes = [
            ovo.Probe(
                one.sample.subtask, one.sample.question, one.sample.end, one.sample.reply(one.text).text,
                one.sample.answer or "", one.sample.options,
            )
            for one in given_by(told, arm.name) if one.sample.bench == "ovo"
        ]  # fmt: skip
        if not probes:
            return None
        tasks = ovo.accuracies(probes, told.evaluation.profile)
        cells = [f"{name} {value:.2f}" for name, value in sorted(tasks.items())]
        try:
            means = ovo.means(tasks)
            cells += [f"mean of 12 tasks {means.of_tasks:.2f}", f"mean of 3 groups {means.of_groups:.2f}"]
        except ValueError as error:
            cells.append(f"no mean: {error}")
        rows.append((arm.name, cells))
    letters = [one.wanted for one in probes if one.task not in (*ovo.YES_OR_NO, ovo.COUNTING)]
    if letters:
        best, share = controls.constant_letter(letters)
        rows.append((LETTER, [f"{best}: {100 * share:.2f} % of {len(letters)}"]))
    if asked := [one.wanted for one in probes if one.task in ovo.YES_OR_NO]:
        rows.append((ALWAYS_YES, [f"{100 * controls.always_yes(asked):.2f} % of {len(asked)}"]))
    return _lines("OVO-Bench", rows)


def _lines(title: str, rows: Sequence[tuple[str, Sequence[str]]]) -> Markup:
    body = [tag("tr", tag("th", name), tag("td", ", ".join(cells))) for name, cells in rows]
    return join(tag("h3", title), tag("div", tag("table", tag("tbody", *body)), class_="card scroll"))
