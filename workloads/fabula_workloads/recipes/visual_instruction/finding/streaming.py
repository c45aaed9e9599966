"""StreamingBench: questions at moments of videos, in groups; and replies that must come by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn
from fabula_workloads.recipes.visual_instruction.benchmarks.streaming import PROACTIVE, SEQUENTIAL
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.finding.cutting import Cutter, json_files, seconds_of
from fabula_workloads.recipes.visual_instruction.finding.drawing import drawn
from fabula_workloads.recipes.visual_instruction.held_out import parts_of, strip_of
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.samples.found import FoundSample, Search

CODES: Mapping[str, str] = {
    "object perception": "OP", "object recognition": "OP", "causal reasoning": "CR", "clips summarize": "CS",
    "clips summarization": "CS", "attribute perception": "ATP", "attribute recognition": "ATP",
    "event understanding": "EU", "text-rich understanding": "TR", "prospective reasoning": "PR",
    "spatial understanding": "SU", "action perception": "ACP", "action recognition": "ACP", "counting": "CT",
    "emotion recognition": "ER", "scene understanding": "SCU", "source discrimination": "SD",
    "multimodal alignment": "MA", "anomaly context understanding": "ACU", "misleading context understanding": "MCU",
    "sequential question answering": "SQA", "proactive output": "PO",
}  # fmt: skip
"""Codes of the published table by the names of the files, in lower case."""
WINDOW, AFTER = 60.0, 4.0
"""Seconds before a question that are watched, and after the moment of a reply that must come by itself."""


class Question(BaseModel):
    """One question of the published files."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    task_type: str
    question: str
    time_stamp: str
    answer: str | None = None
    options: list[str] = []
    ground_truth_time_stamp: str | None = None
    ground_truth_output: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its video, and what was asked of that video before."""

    place: str
    video: str
    code: str
    question: Question
    before: tuple[Question, ...]


def streaming_bench(search: Search) -> Sequence[FoundSample]:
    """Its questions. Each keeps all of its options, also five to seven."""
    store, files = json_files(search, "questions of StreamingBench")
    asked: list[Asked] = []
    for path, records in files:
        asked += questions(path, records, search)
    if not asked:
        raise InputInvalid(f"samples.uri: {store.uri} has no questions of StreamingBench")
    cutter, clips = Cutter(search, store), list[FoundSample]()
    for question in drawn(asked, search.spec.samples.count, search.spec.samples.seed):
        search.context.check_stop()
        record = _sample(cutter, question, f"{len(clips) + 1:05d}-{question.code}")
        if record is not None:
            clips.append(record)
    return clips


def questions(path: str, records: Sequence[Any], search: Search) -> Iterator[Asked]:
    """Every question of a file. One that cannot be read is counted."""
    before: dict[str, list[Question]] = {}
    for number, record in enumerate(records):
        video = str(record.get("video_path", "")) if isinstance(record, dict) else ""
        given = record.get("questions") if isinstance(record, dict) else None
        for raw in given if isinstance(given, list) else []:
            try:
                question = Question.model_validate(raw)
                code = CODES[question.task_type.strip().lower()]
                seconds_of(question.time_stamp)
            except (ValidationError, KeyError, ValueError):
                search.tally["clip/skipped/Unreadable"] += 1
                continue
            earlier = before.setdefault(video, [])
            yield Asked(f"{path}-{number}", video, code, question, tuple(earlier) if code == SEQUENTIAL else ())
            earlier.append(question)


def _sample(cutter: Cutter, asked: Asked, name: str) -> FoundSample | None:
    question, at = asked.question, seconds_of(asked.question.time_stamp)
    span = None
    if asked.code == PROACTIVE:
        if question.ground_truth_time_stamp is None or question.ground_truth_output is None:
            cutter.left_out("Unreadable")
            return None
        wanted = seconds_of(question.ground_truth_time_stamp)
        span, start, end = (wanted, wanted), at, wanted + AFTER
        text, answer, options = question.question, question.ground_truth_output, []
    else:
        start, end = max(0.0, at - WINDOW), at
        options, answer = question.options, question.answer or ""
        text = asked_in_words(question, asked.before)
    stretch = cutter.cut(asked.video, start, end, name)
    if stretch is None:
        return None
    if span is not None and stretch.end < span[0]:
        cutter.left_out("SpanOutsideVideo")
        return None
    # What is asked in the middle of a video is asked before the first frame that could answer it.
    turn = Turn(speaker="user", text=text, at=start if span is not None else stretch.frames[-1])
    strip = strip_of(stretch.frames)
    record = ClipSample(
        id=name, images=[f"pictures/{name}/{place:02d}.jpg" for place in range(len(strip))], bench="streaming",
        video=asked.video, subtask=asked.code, question=f"{asked.place}-{question.time_stamp}",
        start=start, end=stretch.end, shard=f"videos/{name}.tar", frames=stretch.frames, strip=strip,
        sound=stretch.sound, turns=(turn,), unasked=span is not None, begins=turn.at, span=span,
        options=tuple(bare(option) for option in options), answer=answer,
    )  # fmt: skip
    return FoundSample(record, list(parts_of(record, stretch.shard)))


def asked_in_words(question: Question, before: Sequence[Question] = ()) -> str:
    """A question with its options, after what was asked and is true of the video before."""
    known = [f"{earlier.question} {earlier.answer}" for earlier in before if earlier.answer]
    told = f"What was asked before: {' '.join(known)} " if known else ""
    options = " ".join(f"{chr(ord('A') + place)}. {bare(option)}" for place, option in enumerate(question.options))
    return f"{told}{question.question} {options} Answer with the letter.".strip()


def bare(option: str) -> str:
    """An option without the letter before it."""
    head, dot, rest = option.partition(".")
    return rest.strip() if dot and len(head.strip()) == 1 and head.strip().isupper() else option.strip()
