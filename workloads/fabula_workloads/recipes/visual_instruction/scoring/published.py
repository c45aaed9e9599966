"""What an evaluation found, in the layout of the published predictions: a file a subtask, `{video: [text, second]}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fabula_workloads.recipes.visual_instruction.answer import read_answer
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.report.parts import Told


def published(told: Told) -> Mapping[str, bytes]:
    """`published/<arm>/<task>.json`: a list of objects with one video each, its reply and its second.

    Silence has null for a second; the published runs gave the last frame's there, and could be on time by saying
    nothing.
    """
    by_file: dict[str, list[dict[str, Any]]] = {}
    for measured in told.evaluation.answers:
        sample = told.samples.get(measured.answer.sample)
        if not isinstance(sample, ClipSample) or measured.answer.text is None:
            continue
        answer = read_answer(measured.answer.text)
        first = answer.first if answer is not None else None
        reply = ["", None] if first is None else [first.text, first.at]
        name = f"published/{measured.answer.arm}/{sample.subtask or sample.task}.json"
        by_file.setdefault(name, []).append({sample.video: reply})
    return {
        name: (json.dumps(records, ensure_ascii=False, indent=1) + "\n").encode() for name, records in by_file.items()
    }
