"""OVO-Bench: what was, what is, and whether it can be told yet, each asked at a moment of a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn
from fabula_workloads.recipes.visual_instruction.benchmarks.ovo import COUNTING, GROUPS
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.finding.cutting import Cutter, json_files
from fabula_workloads.recipes.visual_instruction.finding.drawing import drawn
from fabula_workloads.recipes.visual_instruction.held_out import parts_of, strip_of
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.samples.found import FoundSample, Search

WINDOW = 60.0
"""Seconds before a real-time question that are watched; the other groups watch from the beginning."""


class Moment(BaseModel):
    """When a forward question is put, and what is true then."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    realtime: float
    count: int | None = None
    type: int | None = None
    step: str | None = None


class Record(BaseModel):
    """One record of the published file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: int | str
    task: str
    video: str
    question: str | None = None
    options: list[str] = []
    gt: int | None = None
    realtime: float | None = None
    activity: str | None = None
    test_info: list[Moment] = []


@dataclass(frozen=True, slots=True)
class Probe:
    """One question at one moment."""

    record: Record
    at: float
    text: str
    wanted: str


def ovo_bench(search: Search) -> Sequence[FoundSample]:
    """Its questions; a forward one at each of its moments."""
    store, files = json_files(search, "questions of OVO-Bench")
    probes: list[Probe] = []
    for _, records in files:
        for raw in records:
            try:
                probes += probes_of(Record.model_validate(raw))
            except (ValidationError, ValueError):
                search.tally["clip/skipped/Unreadable"] += 1
    if not probes:
        raise InputInvalid(f"samples.uri: {store.uri} has no questions of OVO-Bench")
    cutter, clips = Cutter(search, store), list[FoundSample]()
    for probe in drawn(probes, search.spec.samples.count, search.spec.samples.seed):
        search.context.check_stop()
        record = probe.record
        name = f"{len(clips) + 1:05d}-{record.task}"
        start = max(0.0, probe.at - WINDOW) if record.task in GROUPS["real-time"] else 0.0
        stretch = cutter.cut(record.video, start, probe.at, name)
        if stretch is None:
            continue
        turn = Turn(speaker="user", text=probe.text, at=stretch.frames[-1])
        strip = strip_of(stretch.frames)
        sample = ClipSample(
            id=name, images=[f"pictures/{name}/{place:02d}.jpg" for place in range(len(strip))], bench="ovo",
            video=record.video, subtask=record.task, question=str(record.id), start=start, end=stretch.end,
            shard=f"videos/{name}.tar", frames=stretch.frames, strip=strip, sound=stretch.sound, turns=(turn,),
            unasked=False, begins=turn.at, options=tuple(record.options), answer=probe.wanted,
        )  # fmt: skip
        clips.append(FoundSample(sample, list(parts_of(sample, stretch.shard))))
    return clips


def probes_of(record: Record) -> Iterator[Probe]:
    """What is asked of a record, when, and what is right. Raises ValueError for a record that lacks something."""
    if record.task in GROUPS["forward"]:
        for moment in record.test_info:
            yield Probe(record, moment.realtime, *_forward(record, moment))
        return
    if record.task not in (*GROUPS["backward"], *GROUPS["real-time"]):
        raise ValueError(f"no task {record.task}")
    if record.realtime is None or record.gt is None or not record.question:
        raise ValueError("it has no question, no moment or no answer")
    letters = [f"{chr(ord('A') + place)}. {option}" for place, option in enumerate(record.options)]
    text = f"{record.question} {' '.join(letters)} Answer with the letter."
    yield Probe(record, record.realtime, text, chr(ord("A") + record.gt))


def _forward(record: Record, moment: Moment) -> tuple[str, str]:
    if record.task == COUNTING:
        if moment.count is None or not record.activity:
            raise ValueError("it counts nothing")
        return f"How many times did somebody {record.activity}? Answer with one number.", str(moment.count)
    if moment.type is None:
        raise ValueError("it does not say what is true at that moment")
    wanted = "Yes" if moment.type == 1 else "No"
    if record.task == "SSR":
        return f"Is this step being done right now: {moment.step}? Answer yes or no.", wanted
    return f"Can this be answered by what has been seen: {record.question} Answer yes or no.", wanted
