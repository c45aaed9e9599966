"""Moments in the life of runs at which somebody upgrades the operator, and how a cluster comes to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.operator_driver import DATASET_SPEC, EVAL_SPEC, FINE_TUNE_SPEC
from tests.support.scripted_cluster import Ending, Task, failure, success


def hangs_at(stage: str) -> Callable[[Task], Ending]:
    """Everything before the stage succeeds; its pods are at work."""
    return lambda task: Ending(hangs=True) if task.stage == stage else success(task)


def bad_input(task: Task) -> Ending:
    """The source cannot be read."""
    return failure("InputInvalid", "episodes.jsonl.gz:3: not JSON", 65)


@dataclass(frozen=True)
class Moment:
    """Runs by kind and name, how their pods end, and how often the world turns."""

    script: Callable[[Task], Ending]
    runs: tuple[tuple[str, str, dict[str, Any]], ...]
    turns: int = 40
    trainer: bool = False
    """Whether the training operator is there, so that trainings are PyTorchJobs."""
    states: dict[str, str] = field(default_factory=dict)
    """What the runs must have come to, by name."""


BUILD = ("DatasetBuild", "data", DATASET_SPEC)
TUNE = ("FineTuneRun", "tune", FINE_TUNE_SPEC)
EVAL = ("EvalRun", "eval", EVAL_SPEC)
NODES = ("FineTuneRun", "tune", {**FINE_TUNE_SPEC, "backend": "Job", "topology": {"nodes": 2, "device": "cpu"}})

MOMENTS = {
    "a build's shards are at work": Moment(hangs_at("extract"), (BUILD, TUNE), states={"data": "Running"}),
    "a training is at work": Moment(hangs_at("train"), (BUILD, TUNE, EVAL), states={"tune": "Running"}),
    "a training on two nodes is at work": Moment(hangs_at("train"), (BUILD, NODES), states={"tune": "Running"}),
    "a PyTorchJob trains": Moment(hangs_at("train"), (BUILD, TUNE, EVAL), states={"tune": "Running"}, trainer=True),
    "an evaluation is at work": Moment(hangs_at("infer"), (BUILD, TUNE, EVAL), states={"eval": "Running"}),
    "all have succeeded": Moment(
        success, (BUILD, TUNE, EVAL), states={"data": "Succeeded", "tune": "Succeeded", "eval": "Succeeded"}
    ),
    "a build has failed": Moment(bad_input, (BUILD, TUNE), states={"data": "Failed"}),
}
