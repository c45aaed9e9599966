"""What stages put into the `summary` of their result: `Stage.summary` names the model. What a status shows of it has to
parse."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from fabula_api.arms import ArmStatus
from fabula_api.base import Count, StatusModel, Text, Timestamp, Uri
from fabula_api.dataset_build import BuildEstimate
from fabula_api.eval_results import Comparison, SelfTest
from fabula_api.judge_results import JudgeFound


class Summary(StatusModel):
    """That of a stage which has nothing to show beside its counts.

    Fields that a model does not know stay in it, so that whoever hands one on need not know the stage.
    """

    model_config = ConfigDict(extra="allow")


class DatasetSummary(Summary):
    samples_by_split: Annotated[dict[Text, Count], Field(max_length=8)] = Field(default_factory=dict)


class EstimateSummary(Summary):
    estimate: BuildEstimate


class LastCheckpoint(StatusModel):
    """The newest checkpoint of a training that is through."""

    uri: Uri
    step: Count
    digest: Text
    committed_at: Timestamp | None = None
    """Not told by the artifacts of earlier versions."""


class TrainSummary(Summary):
    resumed_from_step: Count | None = None
    """Step of the checkpoint that the attempt went on from."""
    steps: Count | None = None
    """Optimizer steps made in all."""
    checkpoint: LastCheckpoint | None = None


class GateAnswer(StatusModel):
    """What was found for a gate. Where a summary must be short, it names none: then it answers by its position."""

    metric: Text | None = None
    arm: Text | None = None
    versus: Text | None = None
    value: float | None = None
    passed: bool
    reason: Text | None = None


class ScoreSummary(Summary):
    arms: Annotated[list[ArmStatus], Field(max_length=8)] = Field(default_factory=list)
    comparisons: Annotated[list[Comparison], Field(max_length=256)] = Field(default_factory=list)
    gates: Annotated[list[GateAnswer], Field(max_length=32)] = Field(default_factory=list)
    self_tests: Annotated[list[SelfTest], Field(max_length=32)] = Field(default_factory=list)
    judges: Annotated[list[JudgeFound], Field(max_length=8)] = Field(default_factory=list)
    score: Text | None = None
