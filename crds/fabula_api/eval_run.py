"""EvalRun: arms of models compared on the same picture sequences."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fabula_api.base import Count, LongText, Name, Rule, SpecModel, StatusModel, Text
from fabula_api.eval_measures import Measures
from fabula_api.eval_results import Comparison, GateStatus, MetricStatus, SelfTest
from fabula_api.judges import Judge
from fabula_api.samples import Samples
from fabula_api.shared_spec import ArtifactSource, ModelSource, PixelWindow, Resources, Retries, RunSpec
from fabula_api.status import ArtifactStatus, RunStatus


class Arm(SpecModel):
    name: Name
    """Name of the arm in status and report."""
    model: ModelSource
    """Base model."""
    adapter: ArtifactSource | None = None
    """What a FineTuneRun made of it: a LoRA adapter goes on top of the base model; the model of a full fine-tuning is
    taken in its place."""
    quantization: Literal["none", "nf4"] | None = None
    """How the base model is held, as in `lora.quantization`. Default: as the adapter was trained with it, and `none`
    without one. An adapter that was trained otherwise is refused."""
    gpus_per_shard: int = Field(1, ge=0, le=1)
    """GPUs of one inference pod: one, which has to hold the whole model; 0 runs on the CPU."""


class Generation(SpecModel):
    temperature: float = Field(0.7, ge=0, le=2)
    """Sampling temperature; 0 decodes greedily."""
    top_p: float = Field(0.8, gt=0, le=1)
    """Nucleus sampling."""
    max_new_tokens: int = Field(2048, ge=1, le=32_768)
    """Longest answer in tokens."""
    batch_size: int = Field(1, ge=1, le=256)
    """Sequences generated at once."""
    seeds: list[int] = Field(default_factory=lambda: [0], min_length=1, max_length=16)
    """One answer for each seed and sample."""


class EvalRunSpec(Measures, RunSpec):
    """Compares models, with and without adapters, on the same picture sequences."""

    cel: ClassVar[tuple[Rule, ...]] = (
        *Measures.cel,
        {
            "rule": "!has(self.baseline) || self.arms.exists(a, a.name == self.baseline)",
            "message": "baseline must name one of the arms",
            "fieldPath": ".baseline",
        },
        {
            "rule": "self.gates.all(g, self.arms.exists(a, a.name == g.arm))",
            "message": "each gate's arm must name one of the arms",
            "fieldPath": ".gates",
        },
        {
            "rule": "self.gates.all(g, !has(g.versus) || self.arms.exists(a, a.name == g.versus))",
            "message": "each gate's versus must name one of the arms",
            "fieldPath": ".gates",
        },
    )
    samples: Samples
    """The sequences."""
    arms: list[Arm] = Field(min_length=1, max_length=8, json_schema_extra={
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
    })  # fmt: skip
    """What is compared."""
    baseline: Name | None = None
    """Arm that the others are compared with. Default: the first."""
    prompt: LongText | None = None
    """Prompt. Default: the recipe's, the same as in training."""
    pixels: PixelWindow = Field(default_factory=PixelWindow)
    """Size of the pictures the model sees; an adapter trained on another one is refused."""
    generation: Generation = Field(default_factory=Generation)
    """How answers are sampled."""
    shards: int = Field(1, ge=1, le=256)
    """Inference pods for each arm; each loads the model once."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """Inference engine."""
    judges: list[Judge] = Field(default_factory=list, max_length=8)
    """Models that compare two arms' answers blindly."""
    retries: Retries = Field(default_factory=Retries)
    """How often a shard is tried again."""
    resources: Resources = Field(default_factory=Resources)
    """Resources of one inference pod, beside its GPUs."""


class ShardCount(StatusModel):
    done: Count = 0
    """Finished."""
    total: Count = 0
    """In all."""
    failed: Count = 0
    """Failed for good."""


class ArmStatus(StatusModel):
    name: Text
    """Arm."""
    done: Count = 0
    """Answers written."""
    failed: Count = 0
    """Answers that could not be generated."""
    unparseable: Count = 0
    """Answers without a single turn; never counted as zero."""
    metrics: Annotated[list[MetricStatus], Field(max_length=32)] = Field(default_factory=list)
    """Means."""


class EvalRunStatus(RunStatus):
    shards: ShardCount | None = None
    """Inference shards of all arms."""
    arms: Annotated[list[ArmStatus], Field(max_length=8)] = Field(default_factory=list)
    """Results for each arm."""
    comparisons: Annotated[list[Comparison], Field(max_length=256)] = Field(default_factory=list)
    """Arms against the baseline."""
    gates: Annotated[list[GateStatus], Field(max_length=32)] = Field(default_factory=list)
    """Bounds and what was found."""
    self_tests: Annotated[list[SelfTest], Field(max_length=32)] = Field(default_factory=list)
    """Proof that each metric can fail."""
    score: Text | None = None
    """One cell for `kubectl get`: the headline metric of each arm, which is `format-compliance`."""
    report: ArtifactStatus | None = None
    """The committed report; `report.html` lies in it."""
