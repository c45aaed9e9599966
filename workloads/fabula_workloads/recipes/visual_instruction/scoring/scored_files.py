"""Predictions in the published layout, and the annotations that they are held against, for `fabula score`.

The first folder has the benchmark's annotations, a JSON file a subtask; each other one is an arm, with a file of the
same subtask: a list of `{video: [text, second]}`, where a second that is null is silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fabula_api.recipes.visual_instruction.build import VideoSource
from fabula_workloads.metrics.answer_files import FoundAnswers, arm_name
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.visual_instruction.annotations.layouts import task_of_file
from fabula_workloads.recipes.visual_instruction.annotations.reading import read_rows
from fabula_workloads.recipes.visual_instruction.annotations.rows import Row
from fabula_workloads.recipes.visual_instruction.answer import SaidAt, WatchedAnswer
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.held_out import begins_of

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def scored_files(paths: Sequence[Path]) -> FoundAnswers | None:
    """Samples of the first folder, and the answers of the others."""
    if len(paths) < 2 or not all(path.is_dir() for path in paths):
        raise ValueError(
            "visual-instruction is scored from folders: the annotations' first, then one of predictions for each arm"
        )
    samples = {sample.id: sample for path in _json(paths[0]) for sample in _annotated(path)}
    if not samples:
        raise ValueError(f"{paths[0]} has no annotations, such as Gesture_Understanding.json")
    answers: list[GivenAnswer] = []
    for folder in paths[1:]:
        predicted = [answer for path in _json(folder) for answer in _predicted(path, folder.name, samples)]
        if unknown := [answer.sample for answer in predicted if answer.sample not in samples]:
            raise ValueError(f"{folder}: {unknown[0]} is no sample of {paths[0]}; it has {len(samples)}")
        if not predicted:
            raise ValueError(f"{folder} has no predictions: no file named as a subtask, such as gesture.json")
        answers += predicted
    answered = {answer.sample for answer in answers}
    return FoundAnswers(answers, {}, {name: sample for name, sample in samples.items() if name in answered})


def _json(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*.json")) if task_of_file(path.name) is not None)


def _annotated(path: Path) -> Iterator[ClipSample]:
    task = task_of_file(path.name)
    source = VideoSource(name="bench", annotations=path.name, videos="videos", task=task)
    for row in read_rows(path.read_bytes(), source):
        if isinstance(row, Row) and row.problem(float("inf")) is None:
            yield _sample(row, _id(task or "other", row.video))


def _sample(row: Row, name: str) -> ClipSample:
    wanted = list(row.replies)[-1]
    given = tuple(turn for turn in row.turns if turn is not wanted and turn.at <= wanted.at)
    end = row.end if row.end is not None else max(wanted.end or 0.0, wanted.at)
    return ClipSample(
        id=name, reference=wanted.text, source=row.source, video=row.video, task=row.task, start=row.start,
        end=max(end, row.start), shard="none.tar", frames=(row.start,), turns=given, unasked=wanted.unasked,
        begins=begins_of(given, wanted, row.start), options=row.options, answer=row.answer,
        span=(wanted.start, wanted.end) if wanted.start is not None and wanted.end is not None else None,
    )  # fmt: skip


def _predicted(path: Path, arm: str, samples: Mapping[str, ClipSample]) -> Iterator[GivenAnswer]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    records = content if isinstance(content, list) else [content]
    for number, record in enumerate(records):
        for video, said in record.items() if isinstance(record, dict) else ():
            sample = _id(task_of_file(path.name) or "other", video)
            answer = _reply(said, samples.get(sample), f"{path}: record {number}, {video}")
            yield GivenAnswer(arm_name(arm), sample, 0, answer.written())


def _reply(said: Any, sample: ClipSample | None, where: str) -> WatchedAnswer:
    if not isinstance(said, list) or not said or not isinstance(said[0], str):
        raise ValueError(f"{where}: a prediction is a list of a text and a second")
    at = said[1] if len(said) > 1 else None
    if at is None and said[0].strip() and sample is not None and not sample.unasked:
        at = sample.begins  # an answer to a question needs no second: it follows the question
    if at is None:
        return WatchedAnswer()
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise ValueError(f"{where}: {at!r} is no second")
    return WatchedAnswer(replies=(SaidAt(at=float(at), text=said[0]),))


def _id(task: str, video: str) -> str:
    return f"{task}-{_UNSAFE.sub('-', video)}"[-150:].lstrip("-._")
