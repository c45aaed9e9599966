"""What an EvalRun of the recipe `visual-instruction` has beside the fields of every evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fabula_api.base import SpecModel
from fabula_api.eval_run import EvalRunSpec


class Threshold(SpecModel):
    """When the scores of the last frames say that it is time to speak."""

    over: Literal["sum", "mean"] = "sum"
    """What is compared: the scores' sum, as published, or their mean."""
    frames: int = Field(3, ge=1, le=64)
    """Frames whose scores count; they are forgotten once the model speaks."""
    above: float = Field(0.35, gt=0, le=64)
    """The figure that has to be passed."""


class WatchedFrames(SpecModel):
    """How the videos of a benchmark's own files are cut; a dataset's are cut already."""

    fps: float = Field(1.0, gt=0, le=30)
    """Pictures a second."""
    side: int = Field(448, ge=28, le=2048)
    """Their sides in pixels."""
    most: int = Field(64, ge=1, le=4096)
    """Pictures of one sample at most; a longer stretch is cut at a lower rate, which the sample says."""


class VisualInstructionWatch(SpecModel):
    """How models watch: position by position, deciding at every frame. Words are chosen greedily, so
    `generation.temperature` and `topP` have no part in it."""

    threshold: Threshold = Field(default_factory=Threshold)
    """At which score of its frames a model speaks."""
    replies: int = Field(1, ge=1, le=1000)
    """Replies after which a model need not watch on; the first one counts."""
    frames: WatchedFrames = Field(default_factory=WatchedFrames)
    """How a benchmark's videos are cut."""
    poll_seconds: float = Field(1.0, gt=0, le=3600)
    """How often a model without a head is asked whether it is time to speak."""


class VisualInstructionEvalSpec(EvalRunSpec):
    visual_instruction: VisualInstructionWatch = Field(default_factory=VisualInstructionWatch)
    """How models watch."""
