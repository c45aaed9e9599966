"""What an evaluation measures and what it has to reach, as fields of a spec; `fabula score` has the same."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from fabula_api.base import Name, Rule, SpecModel
from fabula_api.metrics import NAME_PATTERN, NAMES, PROFILES, ProfileName
from fabula_api.shared_spec import ModelSource

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
    """Model of `clip-score`."""
    gates: list[Gate] = Field(default_factory=list, max_length=32)
    """Bounds that decide the condition GatesPassed."""
