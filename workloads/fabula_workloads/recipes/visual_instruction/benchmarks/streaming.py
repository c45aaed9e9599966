"""StreamingBench (arXiv 2411.03628): multiple choice in three groups, and replies that must come by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fabula_api.metrics import ProfileName
from fabula_workloads.recipes.visual_instruction.benchmarks.answers import letter
from fabula_workloads.recipes.visual_instruction.benchmarks.reply import MARGIN, Reply

Group = Literal["real", "omni", "contextual"]
GROUPS: Mapping[Group, tuple[str, ...]] = {
    "real": ("OP", "CR", "CS", "ATP", "EU", "TR", "PR", "SU", "ACP", "CT"),
    "omni": ("ER", "SCU", "SD", "MA"),
    "contextual": ("ACU", "MCU", "SQA", "PO"),
}
"""Tasks by group."""
SEQUENTIAL = "SQA"
PROACTIVE = "PO"


@dataclass(frozen=True, slots=True)
class Tally:
    """Right answers of a task."""

    right: int
    count: int

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.right + other.right, self.count + other.count)

    @property
    def accuracy(self) -> float:
        """In per cent. Raises ZeroDivisionError for a task without questions."""
        return 100 * self.right / self.count


@dataclass(frozen=True, slots=True)
class Proactive:
    """What a reply that must come by itself got right."""

    on_time: bool
    right: bool
    """On time, and with the words that were wanted."""


def right_option(text: str, wanted: str, task: str, profile: ProfileName, options: Sequence[str] = ()) -> bool:
    """Whether an answer names the `wanted` letter.

    `paper-v1` looks at the first character, and for sequential questions at the whole answer, which is stricter;
    `v2` reads the letter in both.
    """
    if profile == "paper-v1":
        return (text if task == SEQUENTIAL else text[:1]) == wanted
    return letter(text, options) == wanted.upper()


def proactive(reply: Reply, wanted_at: float, wanted: str, margin: float = MARGIN) -> Proactive:
    """A reply within `margin` seconds of the moment, and whether it has the wanted words. Silence is not on time."""
    on_time = reply.at is not None and abs(reply.at - wanted_at) <= margin
    return Proactive(on_time, on_time and wanted in reply.text)


def pooled(tallies: Mapping[str, Tally]) -> dict[Group, Tally]:
    """All questions of a group together, for the groups of which there is a task. A KeyError names an unknown task."""
    group_of = {task: group for group, tasks in GROUPS.items() for task in tasks}
    groups: dict[Group, Tally] = {}
    for task, tally in tallies.items():
        groups[group_of[task]] = groups.get(group_of[task], Tally(0, 0)) + tally
    return groups


def overall(groups: Mapping[Group, Tally]) -> float:
    """In per cent, each question counted once (2,500, 1,000 and 1,000 in the published sets)."""
    return sum(groups.values(), start=Tally(0, 0)).accuracy
