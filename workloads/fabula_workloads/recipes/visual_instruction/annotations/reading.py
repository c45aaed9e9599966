"""From an annotation file to rows, in the file's order. What cannot be read is told by its place, never replaced."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import ValidationError

from fabula_api.recipes.visual_instruction.build import VideoSource
from fabula_api.uri import path_problem
from fabula_workloads.recipe_parts.source_rows import Unreadable
from fabula_workloads.recipes.visual_instruction.annotations.layouts import (
    Conversation,
    Said,
    UnknownTask,
    bare,
    options_of,
    task_of,
)
from fabula_workloads.recipes.visual_instruction.annotations.rows import Row, Turn
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.termination import validation_lines

COLUMNS = ("video", "start", "end", "reply")


def read_rows(data: bytes, source: VideoSource) -> Iterator[Row | Unreadable]:
    """Every row of an annotation file. Raises InputInvalid for a file that is not of the source's layout."""
    records = _conversations(data, source) if source.format == "vispeak" else _spans(data, source)
    for number, (place, record) in enumerate(records):
        try:
            yield _row(Conversation.model_validate(record), f"{source.name}-{number:06d}", place, source)
        except ValidationError as error:
            yield Unreadable(place, "; ".join(validation_lines(error)))
        except UnknownTask as error:
            yield Unreadable(place, str(error), "UnknownType")
        except ValueError as error:
            yield Unreadable(place, str(error))


def drawn(rows: Sequence[Row], source: VideoSource, seed: int) -> list[Row]:
    """The share `ratio` of a source's rows (at least one), drawn by seed, in the file's order."""
    count = max(1, round(source.ratio * len(rows))) if rows else 0
    if count == len(rows):
        return list(rows)
    chosen = random.Random(f"{seed}:{source.name}").sample(range(len(rows)), count)  # noqa: S311 - an order, no secret
    return [rows[place] for place in sorted(chosen)]


def _conversations(data: bytes, source: VideoSource) -> Iterator[tuple[str, Any]]:
    where = f"{source.name}: {source.annotations}"
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputInvalid(f"{where} is not JSON: {error}") from None
    if not isinstance(content, list):
        kind = "object" if isinstance(content, dict) else type(content).__name__
        raise InputInvalid(f"{where}: vispeak is a list of conversations, and this is a {kind}")
    for number, record in enumerate(content):
        yield f"row {number}", record


def _spans(data: bytes, source: VideoSource) -> Iterator[tuple[str, Any]]:
    """A CSV's rows as conversations: a question where there is one, and the reply in its span."""
    where = f"{source.name}: {source.annotations}"
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        header = [name.strip().lower() for name in reader.fieldnames or ()]
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputInvalid(f"{where} is no CSV in UTF-8: {error}") from None
    if missing := [name for name in COLUMNS if name not in header]:
        raise InputInvalid(f"{where} has no column {', '.join(missing)}; it has {', '.join(header) or 'none'}")
    for number, raw in enumerate(rows, 2):
        row = {(key or "").strip().lower(): (value or "").strip() for key, value in raw.items() if key is not None}
        said: list[dict[str, Any]] = []
        if row.get("question"):
            said.append({"from": "human", "value": row["question"], "time": row.get("asked") or 0.0})
        reply = {"from": "gpt", "value": row["reply"], "time": _middle(row["start"], row["end"]),
                 "timespan": [row["start"], row["end"]]}  # fmt: skip
        yield f"line {number}", {
            "video": row["video"], "conversations": [*said, reply], "task_type": row.get("task") or None,
            "proactive": not row.get("question"),
        }  # fmt: skip


def _middle(start: str, end: str) -> float | str:
    """When a reply of a span is said: what calls for it has been seen for a while, and is still there."""
    try:
        return (float(start) + float(end)) / 2
    except ValueError:
        return start  # told by the layout, which reads the span


def _row(record: Conversation, name: str, place: str, source: VideoSource) -> Row:
    video = record.video or _only(record.image, "neither a video nor an image", "pictures")
    audio = None if record.audio is None else _only(record.audio, "no file of sound", "files of sound")
    for what, path in (("video", video), ("audio", audio)):
        if path is not None and (problem := path_problem(path)):
            raise ValueError(f"its {what} {path!r} is no path below {source.videos}: {problem}")
    start = record.video_start_time or 0.0
    turns = tuple(_turn(said, start, record) for said in record.conversations)
    options: tuple[str, ...] = ()
    if record.question is not None:
        options = options_of(record.question)
        asked = record.video_end_time if record.video_end_time is not None else start
        answer = record.answer_in_full if record.answer is None else record.answer
        turns += (Turn(speaker="user", text=record.question, at=asked),)
        if answer is not None:
            turns += (Turn(speaker="model", text=answer, at=asked),)
    if not turns:
        raise ValueError("it has neither conversations nor a question")
    return Row(
        id=name,
        source=source.name,
        place=place,
        video=video,
        task=task_of(record, source.task),
        start=start,
        end=record.video_end_time,
        turns=turns,
        audio=audio,
        offline=record.offline,
        still=record.video is None,
        options=options,
        answer=record.answer if options and record.answer else None,
    )


def _only(given: str | list[str] | None, none: str, several: str) -> str:
    """The one file that a sample names. Raises ValueError where there is none, or are several."""
    files = [given] if isinstance(given, str) else given or []
    if len(files) != 1:
        raise ValueError(f"it has {f'{len(files)} {several}, and one is what a sample may have' if files else none}")
    return files[0]


def _turn(said: Said, start: float, record: Conversation) -> Turn:
    speaker: Literal["user", "model"] = "user" if said.speaker == "human" else "model"
    span = said.timespan if speaker == "model" and record.proactive is not False else None
    at = said.time if said.time is not None else (span[0] if span else start)
    text = bare(said.text)
    if not text:
        raise ValueError("a turn of it is blank")
    return Turn(speaker=speaker, text=text, at=at, start=span[0] if span else None, end=span[1] if span else None)
