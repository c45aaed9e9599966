"""StreamingBench: right answers by task, pooled by group, each question once in the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fabula_api.metrics import ProfileName
from fabula_workloads.recipes.visual_instruction.benchmarks import controls, streaming
from fabula_workloads.recipes.visual_instruction.benchmarks.reply import Reply
from fabula_workloads.recipes.visual_instruction.benchmarks.streaming import GROUPS, PROACTIVE, Tally
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.scoring.measures import is_right
from fabula_workloads.recipes.visual_instruction.scoring.tables.given import given_by
from fabula_workloads.recipes.visual_instruction.scoring.tables.grid import GridRow, grid, percent
from fabula_workloads.report.markup import Markup
from fabula_workloads.report.parts import Told

_HINT = (
    "Right answers in per cent. Groups and the whole count each question once. A proactive output (PO) is right with "
    "its words at its moment; how many came on time stands before."
)
Tallies = Mapping[str, Tally]


def streaming_table(told: Told, profile: ProfileName) -> Markup | None:
    """The table; None without a question of it."""
    rows: list[tuple[str, Tallies, Tally, bool]] = []
    clips: dict[str, ClipSample] = {}
    for arm in told.evaluation.arms:
        answers = [answer for answer in given_by(told, arm.name) if answer.sample.bench == "streaming"]
        clips |= {answer.sample.id: answer.sample for answer in answers}
        tallies = _tallies((answer.sample.subtask, is_right(answer.sample, answer.text, profile)) for answer in answers)
        timed = _on_time((answer.sample, answer.sample.reply(answer.text)) for answer in answers)
        rows.append((arm.name, tallies, timed, False))
    if not clips:
        return None
    rows += [(name, tallies, timed, True) for name, tallies, timed in _controls(list(clips.values()))]
    names = [task for tasks in GROUPS.values() for task in tasks if any(task in tallies for _, tallies, *_ in rows)]
    return grid(
        "StreamingBench",
        _HINT,
        [*names, *(group.capitalize() for group in GROUPS), "Overall"],
        [
            GridRow(name, _cells(names, tallies, timed, whole=not control), control)
            for name, tallies, timed, control in rows
        ],
    )


def _tallies(answers: Iterable[tuple[str, bool]]) -> Tallies:
    tallies: dict[str, Tally] = {}
    for task, right in answers:
        tallies[task] = tallies.get(task, Tally(0, 0)) + Tally(int(right), 1)
    return tallies


def _on_time(replies: Iterable[tuple[ClipSample, Reply]]) -> Tally:
    timed = [clip.on_time(reply) for clip, reply in replies if clip.subtask == PROACTIVE]
    return Tally(sum(timed), len(timed))


def _controls(clips: Sequence[ClipSample]) -> Iterable[tuple[str, Tallies, Tally]]:
    """One letter for all questions with options; and the wanted words one second after it may speak."""
    asked = [clip for clip in clips if clip.subtask != PROACTIVE]
    if asked:
        best, _ = controls.constant_letter([clip.answer or "" for clip in asked])
        yield (
            f"{controls.ONE_LETTER}: {best}",
            _tallies((clip.subtask, clip.answer == best) for clip in asked),
            Tally(0, 0),
        )
    ahead = [clip for clip in clips if clip.subtask == PROACTIVE and clip.span is not None]
    if ahead:
        said = [(clip, controls.one_second_after(max(clip.begins, clip.start), clip.answer or "")) for clip in ahead]
        right = _tallies(
            (clip.subtask, streaming.proactive(reply, clip.span[0], clip.answer or "").right)
            for clip, reply in said
            if clip.span is not None
        )
        yield controls.ONE_SECOND_LATE, right, _on_time(said)


def _cells(names: Sequence[str], tallies: Tallies, timed: Tally, *, whole: bool) -> list[str]:
    cells = []
    for name in names:
        share = percent(tallies[name].accuracy if name in tallies else None)
        cells.append(f"{timed.accuracy:.2f}, {share}" if name == PROACTIVE and timed.count else share)
    groups = streaming.pooled(tallies)
    cells += [percent(groups[group].accuracy if group in groups and whole else None) for group in GROUPS]
    return [*cells, percent(streaming.overall(groups) if groups and whole else None)]
