"""EvalRun: arms of models compared on the same samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from fabula_api.arms import Arm, ArmStatus, Engine, Generation, ShardCount
from fabula_api.base import LongText, Name, ObjectName, Rule, SpecModel, Text, Uri
from fabula_api.bills import Billed
from fabula_api.eval_measures import Measures
from fabula_api.eval_results import Comparison, GateStatus, SelfTest
from fabula_api.judge_results import JudgeStatus
from fabula_api.judges import Judging
from fabula_api.shared_spec import PixelWindow, Resources, Retries, RunSpec
from fabula_api.status import ArtifactStatus, RunStatus


class Samples(SpecModel):
    cel: ClassVar[tuple[Rule, ...]] = (
        {"rule": "has(self.uri) != has(self.ref)", "message": "give exactly one of uri and ref"},
    )
    uri: Uri | None = None
    """Where they lie, in one of the recipe's layouts."""
    ref: ObjectName | None = None
    """Name of the DatasetBuild, in this namespace, whose dataset they are taken from. This run waits for it."""
    format: Name | None = None
    """Layout, by a name of the recipe's. Default: the recipe's first."""
    count: int = Field(50, ge=1, le=10_000)
    """Samples to evaluate."""
    seed: int = Field(42, ge=0, le=2**31 - 1)
    """Changes which of them those are."""


class EvalRunSpec(Measures, Judging, RunSpec):
    """Compares models, with and without adapters, on the same samples."""

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
    """What they are asked about."""
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
    engine: Engine = "transformers"
    """What generates answers, where an arm does not say otherwise: `transformers`, `vllm` (several GPUs, more answers
    at once), or `openai`, a server."""
    retries: Retries = Field(default_factory=Retries)
    """How often a shard is tried again."""
    resources: Resources = Field(default_factory=Resources)
    """Resources of one inference pod, beside its GPUs."""


class EvalRunStatus(Billed, RunStatus):
    own_conditions: ClassVar[Mapping[str, str]] = {
        "GatesPassed": "all gates are kept",
        "JudgesTrusted": "each judge told apart what anybody can",
    }
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
    judges: Annotated[list[JudgeStatus], Field(max_length=8)] = Field(default_factory=list)
    """What the judges cost, and what they found."""
    score: Text | None = None
    """One cell for `kubectl get`: the headline metric of each arm, which its recipe names."""
    report: ArtifactStatus | None = None
    """The committed report; `report.html` lies in it."""
