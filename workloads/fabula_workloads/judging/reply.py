"""Reading a judge's reply: the JSON object in it, with a mark for every criterion, or nothing at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fabula_api.rubrics import OVERALL, Rubric, Scale
from fabula_workloads.judging.ballots import FIRST, SECOND, TIE

_MOST_OPENINGS = 50
_REASON_CHARACTERS = 2_000
_CHOICES = {"a": FIRST, "b": SECOND, "tie": TIE, "answer a": FIRST, "answer b": SECOND, "equal": TIE, "draw": TIE}


@dataclass(frozen=True, slots=True)
class Read:
    """What a reply says of the answers in the order in which they were shown."""

    marks: dict[str, float]
    reason: str


def read_reply(text: str, rubric: Rubric) -> Read | None:
    """The reply's meaning; None where a mark is missing or none that was asked for: it is never guessed."""
    for document in _objects(text):
        marks = {}
        for name in dict.fromkeys([*(criterion.name for criterion in rubric.criteria), OVERALL]):
            mark = _mark(document.get(name), rubric.scale)
            if mark is None:
                break
            marks[name] = mark
        else:
            reason = document.get("reason")
            return Read(marks, reason[:_REASON_CHARACTERS] if isinstance(reason, str) else "")
    return None


def _mark(value: Any, scale: Scale | None) -> float | None:
    if scale is None:
        return _CHOICES.get(value.strip().strip("\"'*.").lower()) if isinstance(value, str) else None
    if isinstance(value, bool):
        return None
    try:
        points = float(value)
    except (TypeError, ValueError):
        return None
    return points if scale.min <= points <= scale.max else None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects in a text, the last first: models that think aloud end with what they mean."""
    decoder, documents, at = json.JSONDecoder(), [], text.find("{")
    for _ in range(_MOST_OPENINGS):
        if at < 0:
            break
        try:
            document, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(document, dict):
                documents.append(document)
        at = text.find("{", end)
    yield from reversed(documents)
