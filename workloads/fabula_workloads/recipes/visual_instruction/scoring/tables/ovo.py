"""OVO-Bench: its twelve tasks, their groups, and both published ways of averaging, each by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fabula_api.metrics import ProfileName
from fabula_workloads.recipes.visual_instruction.benchmarks import controls, ovo
from fabula_workloads.recipes.visual_instruction.scoring.tables.given import Given, given_by
from fabula_workloads.recipes.visual_instruction.scoring.tables.grid import GridRow, grid, percent
from fabula_workloads.report.markup import Markup
from fabula_workloads.report.parts import Told

_HINT = (
    "Right answers in per cent. The published table has means over tasks and means over groups in one column; here "
    "each has its own."
)
_TASKS = tuple(task for tasks in ovo.GROUPS.values() for task in tasks)


def ovo_table(told: Told, profile: ProfileName) -> Markup | None:
    """The table; None without a question of it."""
    rows: list[GridRow] = []
    asked: dict[str, ovo.Probe] = {}
    by_arm = {arm.name: [answer for answer in given_by(told, arm.name) if answer.sample.bench == "ovo"]
             for arm in told.evaluation.arms}  # fmt: skip
    names = [
        task
        for task in _TASKS
        if any(answer.sample.subtask == task for answers in by_arm.values() for answer in answers)
    ]
    if not names:
        return None
    for arm, answers in by_arm.items():
        asked |= {answer.sample.id: _probe(answer) for answer in answers}
        rows.append(GridRow(arm, _cells(names, ovo.accuracies([_probe(answer) for answer in answers], profile))))
    rows += [GridRow(name, _cells(names, tasks), control=True) for name, tasks in _controls(list(asked.values()))]
    missing = [task for task in _TASKS if task not in names]
    lacks = f" There is no question of {', '.join(missing)}, and no mean without them." if missing else ""
    columns = [*names, *(group.capitalize() for group in ovo.GROUPS), "Mean of 12 tasks", "Mean of 3 groups"]
    return grid("OVO-Bench", _HINT + lacks, columns, rows)


def _probe(answer: Given) -> ovo.Probe:
    sample = answer.sample
    said = sample.reply(answer.text).text
    return ovo.Probe(sample.subtask, sample.question, sample.end, said, sample.answer or "", sample.options)


def _controls(probes: Sequence[ovo.Probe]) -> Iterable[tuple[str, Mapping[str, float]]]:
    lettered = [probe for probe in probes if probe.task not in (*ovo.YES_OR_NO, ovo.COUNTING)]
    if lettered:
        best, _ = controls.constant_letter([probe.wanted for probe in lettered])
        yield f"{controls.ONE_LETTER}: {best}", _shares((probe.task, probe.wanted == best) for probe in lettered)
    if asked := [probe for probe in probes if probe.task in ovo.YES_OR_NO]:
        yield controls.ALWAYS_YES, _shares((probe.task, probe.wanted == "Yes") for probe in asked)


def _shares(right: Iterable[tuple[str, bool]]) -> Mapping[str, float]:
    by: dict[str, list[bool]] = {}
    for task, hit in right:
        by.setdefault(task, []).append(hit)
    return {task: 100 * sum(hits) / len(hits) for task, hits in by.items()}


def _cells(names: Sequence[str], tasks: Mapping[str, float]) -> list[str]:
    cells = [percent(tasks.get(name)) for name in names]
    for members in ovo.GROUPS.values():
        known = [tasks[task] for task in members if task in tasks]
        cells.append(percent(sum(known) / len(known) if len(known) == len(members) else None))
    whole = ovo.means(tasks) if set(_TASKS) <= tasks.keys() else None
    return [*cells, percent(whole.of_tasks if whole else None), percent(whole.of_groups if whole else None)]
