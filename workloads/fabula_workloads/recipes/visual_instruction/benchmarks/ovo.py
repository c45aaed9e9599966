"""OVO-Bench (arXiv 2501.05510): twelve tasks in three groups, looking back, at the moment, and ahead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fabula_api.metrics import ProfileName
from fabula_workloads.recipes.visual_instruction.benchmarks.answers import (
    count,
    letter,
    published_count,
    yes_or_no,
)

Group = Literal["backward", "real-time", "forward"]
GROUPS: Mapping[Group, tuple[str, ...]] = {
    "backward": ("EPM", "ASI", "HLD"),
    "real-time": ("STU", "OJR", "ATR", "ACR", "OCR", "FPD"),
    "forward": ("REC", "SSR", "CRR"),
}
"""Tasks by group."""
COUNTING = "REC"
YES_OR_NO = ("SSR", "CRR")


@dataclass(frozen=True, slots=True)
class Probe:
    """One answer at one moment: of which question, and when."""

    task: str
    question: str
    at: float
    text: str
    wanted: str
    """A letter, `Yes` or `No`, or a count."""
    options: tuple[str, ...] = ()


def right(probe: Probe, profile: ProfileName) -> bool:
    """Whether an answer is the wanted one.

    `paper-v1` searches the wanted letter or word anywhere in the answer ("Nobody" is a No) and joins all digits; `v2`
    reads letters as letters, words as words, and one number.
    """
    if probe.task == COUNTING:
        said = published_count(probe.text) if profile == "paper-v1" else count(probe.text)
        return said == int(probe.wanted)
    if probe.task in YES_OR_NO:
        if profile == "paper-v1":
            return probe.wanted in probe.text or probe.text.strip() == probe.wanted[0]
        said_yes = {"Y": True, "N": False}.get(probe.text.strip().rstrip(".")) if len(probe.text.strip()) <= 2 else None
        return (yes_or_no(probe.text) if said_yes is None else said_yes) is (probe.wanted == "Yes")
    if profile == "paper-v1":
        return probe.wanted in probe.text
    return letter(probe.text, probe.options) == probe.wanted.upper()


def accuracies(probes: Iterable[Probe], profile: ProfileName) -> dict[str, float]:
    """Mean of each task, in per cent. Under `v2` a probe that stands twice counts once, and the last one counts."""
    kept: Iterable[Probe] = probes
    if profile != "paper-v1":
        kept = {(probe.task, probe.question, probe.at): probe for probe in probes}.values()
    hits_of: dict[str, list[bool]] = {}
    for probe in kept:
        hits_of.setdefault(probe.task, []).append(right(probe, profile))
    return {task: 100 * sum(hits) / len(hits) for task, hits in hits_of.items()}


@dataclass(frozen=True, slots=True)
class Means:
    """The published table has overall figures of both kinds without saying so; they differ by up to 2.7 points."""

    groups: Mapping[Group, float]
    """Mean of each group's tasks."""
    of_tasks: float
    """Mean over the twelve tasks."""
    of_groups: float
    """Mean over the three groups."""


def means(tasks: Mapping[str, float]) -> Means:
    """Both means. Raises ValueError where a task is missing: a mean over fewer is another figure."""
    if missing := [task for members in GROUPS.values() for task in members if task not in tasks]:
        raise ValueError(f"no figure of {', '.join(missing)}")
    groups: dict[Group, float] = {name: _mean([tasks[task] for task in members]) for name, members in GROUPS.items()}
    return Means(groups, _mean([tasks[t] for m in GROUPS.values() for t in m]), _mean(list(groups.values())))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
