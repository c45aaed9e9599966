"""What an evaluation measures and what it has to reach, as fields of a spec; `fabula score` has the same."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from fabula_api.asked import Asked
from fabula_api.base import Name, Rule, SpecModel
from fabula_api.metrics import NAME_PATTERN, NAMES, PROFILES, ProfileName
from fabula_api.shared_spec import ArtifactSource, ModelSource

MetricName = Annotated[
    str,
    StringConstraints(max_length=127, pattern=NAME_PATTERN),
    Field(description=f"One of {', '.join(f'`{name}`' for name in NAMES)}, or a recipe's own, as `recipe/metric`."),
]


def _default_profiles() -> list[ProfileName]:
    return list(PROFILES)


class Gate(SpecModel):
    """A bound that one figure must keep."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {"rule": "has(self.min) || has(self.max)", "message": "a gate needs min, max or both"},
    )
    metric: MetricName
    """Metric."""
    arm: Name
    """Arm whose mean is looked at."""
    versus: Name | None = None
    """With it, the bound is on the difference `arm - versus`."""
    figure: Literal["mean", "interval"] | None = None
    """What has to keep the bounds: the mean (or mean difference), or the end of its 95 % interval that is nearer to the
    bound, the lower one for `min` and the upper one for `max`. Default: `mean`."""
    min: float | None = None
    """Smallest value that passes."""
    max: float | None = None
    """Largest value that passes."""


class Measures(SpecModel):
    """Metrics, their definitions, and the bounds that decide."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "self.metrics.size() == 0 || self.gates.all(g, self.metrics.exists(m, m == g.metric)"
            " || g.metric.startsWith('judge/') || g.metric.startsWith('judge-controlled/'))",
            "message": "each gate's metric must be one of metrics, or judge/ and a judge's name",
            "fieldPath": ".gates",
        },
        {
            "rule": "has(self.embeddingModel) || !self.metrics.exists(m, m == 'coherence')",
            "message": "the metric coherence needs embeddingModel",
            "fieldPath": ".metrics",
        },
        {
            "rule": "has(self.trainingSet) || !self.metrics.exists(m, m == 'training-overlap')",
            "message": "the metric training-overlap needs trainingSet",
            "fieldPath": ".metrics",
        },
    )
    metrics: list[MetricName] = Field(default_factory=list, max_length=32)
    """Metrics to compute. Default: those of the recipe."""
    profiles: list[ProfileName] = Field(default_factory=_default_profiles, min_length=1, max_length=2)
    """Metric definitions: `paper-v1` as published, with its defects; `v2` mended. Status and gates use the first."""
    clip_model: ModelSource = Field(
        default_factory=lambda: ModelSource(
            name="openai/clip-vit-base-patch32", revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
        )
    )
    """Model of `clip-score` in transformers' format: a CLIP, also one for long texts, MetaCLIP 2, SigLIP or SigLIP 2.
    Passages are as long as it reads; figures of two models do not compare."""
    embedding_model: ModelSource | None = None
    """Sentence-embedding model of `coherence`, in the layout of sentence-transformers."""
    training_set: ArtifactSource | None = None
    """Dataset that the arms were tuned on, of which `training-overlap` looks for runs of words in the answers."""
    asked: Asked = Field(default_factory=Asked)
    """Length and words that the prompt asks for."""
    gates: list[Gate] = Field(default_factory=list, max_length=32)
    """Bounds that decide the condition GatesPassed."""
