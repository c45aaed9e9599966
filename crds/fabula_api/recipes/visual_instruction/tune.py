"""What a FineTuneRun of the recipe `visual-instruction` has beside the fields of every run."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fabula_api.base import Rule, SpecModel
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.shared_spec import ArtifactSource

TrainedStage = Literal["align", "finetune", "streaming", "instruct"]
"""The published order."""


class VisualInstructionTune(SpecModel):
    """The watcher: a model with two streams, of what is seen, heard and asked, and of what is said."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "self.stage != 'instruct' || has(self.begin)",
            "message": "the stage instruct goes on from a stage before it; name its run in begin.ref",
            "fieldPath": ".begin",
        },
    )
    stage: TrainedStage
    """`align` trains projector, fusion and the adapter of sound; `finetune` these and a low-rank update of the language
    model; `streaming` these and the head that decides when to speak; `instruct` the same on feedback."""
    begin: ArtifactSource | None = None
    """The stage before, as the run that made it: its projector, fusion, head and update are what this one begins
    with."""
    earlier_update: Literal["merged", "stacked"] = "merged"
    """What becomes of the update that `begin` has: `merged` into the language model's weights, with a new one on top,
    or `stacked`: kept apart, frozen, with a new one beside it. The artifact has all of them either way."""
    fusion: Literal["adaptive", "linear", "add"] = "adaptive"
    """How the streams become one at each position: `adaptive`, a weight found from both; `linear`, a matrix that begins
    as the user's stream alone; `add`, their mean. It stays what it was in `begin`."""
    pooling: int = Field(1, ge=1, le=8)
    """Pictures take this many times fewer tokens along each side; 2 makes 64 of 256. Published: 2 from `streaming`
    on."""
    projector_learning_rate: float | None = Field(None, gt=0, le=1)
    """Rate of the projector and of the adapter of sound. Default: `training.learningRate`."""
    focal_alpha: float = Field(0.25, ge=0, le=1)
    """Of the loss of the head: weight of frames at which it is time to speak."""
    focal_gamma: float = Field(2.0, ge=0, le=10)
    """Of the loss of the head: how little what is decided well already counts."""

    @property
    def takes_begin(self) -> bool:
        """Whether an earlier stage's artifact is read."""
        return self.begin is not None

    @property
    def decides(self) -> bool:
        """Whether the head that decides is trained."""
        return self.stage in ("streaming", "instruct")

    @property
    def updates(self) -> bool:
        """Whether the language model gets a low-rank update."""
        return self.stage != "align"


class VisualInstructionTuneSpec(FineTuneRunSpec):
    visual_instruction: VisualInstructionTune
    """The watcher: what is trained in this stage, and with what it begins."""
