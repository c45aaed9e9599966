"""What an evaluation found, as parts of a status: means, comparisons, gates and self-tests."""

from __future__ import annotations

from fabula_api.base import Count, StatusModel, Text


class MetricStatus(StatusModel):
    name: Text
    """Metric."""
    mean: float | None = None
    """Mean over the samples that could be parsed; absent when there is none."""
    low: float | None = None
    """Lower end of the 95 % bootstrap interval."""
    high: float | None = None
    """Upper end."""
    count: Count = 0
    """Samples in the mean."""
    reason: Text | None = None
    """Why there is no mean."""
    label: Text | None = None
    """What to know before believing it: `random weights` when the metric's own model was never trained."""


class Comparison(StatusModel):
    arm: Text
    """Arm."""
    versus: Text
    """Baseline."""
    metric: Text
    """Metric."""
    delta: float | None = None
    """Mean of the paired differences."""
    low: float | None = None
    """Lower end of the 95 % bootstrap interval."""
    high: float | None = None
    """Upper end."""
    count: Count = 0
    """Pairs."""
    p_value: float | None = None
    """How often chance alone makes a difference as large, by permutation, two-sided."""
    adjusted: float | None = None
    """The same after Holm's correction for all comparisons of the run."""
    effect: float | None = None
    """Cohen's d of the paired differences."""
    needed: Count | None = None
    """Samples that would show such a difference in four evaluations of five, where it was not seen in this one."""
    reason: Text | None = None
    """Why there is no pair."""


class GateStatus(StatusModel):
    metric: Text
    """Metric."""
    arm: Text
    """Arm."""
    versus: Text | None = None
    """Arm that was subtracted."""
    value: float | None = None
    """Figure found; absent when it could not be computed, which fails the gate."""
    passed: bool
    """Whether it kept the bound."""
    reason: Text | None = None
    """Why there is no figure, or why none could pass."""


class SelfTest(StatusModel):
    name: Text
    """What was tried."""
    passed: bool
    """Whether the metric is able to fail."""
    message: Text = ""
    """What was seen."""
