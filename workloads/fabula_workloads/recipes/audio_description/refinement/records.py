"""What `refine` makes, as others read it."""

from __future__ import annotations

import json

from fabula_api.base import Record
from fabula_workloads.runtime.store import Store

KIND, SCORES, MEASURED, SCORER = "refinement", "scores.jsonl", "measured.json", "scorer.json"


class Measured(Record):
    """How a threshold does in a split, on films that the scoring model had not seen."""

    split: str
    threshold: float
    told: int
    """Candidates at or above it."""
    right: int
    """Of them those that are named."""
    named: int
    """All candidates that are named."""


def read_scores(store: Store) -> dict[tuple[str, str], float]:
    """The score of each candidate by sample and person."""
    lines = (json.loads(line) for line in store.read(SCORES).splitlines())
    return {(line["sample"], line["person"]): float(line["score"]) for line in lines}


def read_measured(store: Store) -> list[Measured]:
    """How thresholds do."""
    return [Measured.model_validate(row) for row in json.loads(store.read(MEASURED))]
