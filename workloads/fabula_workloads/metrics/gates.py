"""Gates: bounds on figures. What cannot be computed, or what cannot be trusted, does not pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fabula_api.eval_measures import Gate
from fabula_api.eval_results import GateStatus
from fabula_workloads.metrics.bootstrap import Estimate


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a gate may rest on: a figure, or why there is none."""

    estimate: Estimate | None
    reason: str | None = None
    """Why there is no figure."""
    distrust: str | None = None
    """Why nothing rests on it, whatever it is."""


def judge(gate: Gate, evidence: Evidence) -> GateStatus:
    """What a gate found. A figure that is missing, and one that is not to be trusted, fails it and says why."""
    ends = _ends(gate, evidence)
    if isinstance(ends, str):
        return _status(gate, None, False, ends)
    least, most = ends
    kept_min = gate.min is None or least >= gate.min
    kept_max = gate.max is None or most <= gate.max
    # Of an interval the end is shown by which the gate fails, or could have.
    value = most if gate.min is None or (kept_min and not kept_max) else least
    return _status(gate, value, kept_min and kept_max and evidence.distrust is None, evidence.distrust)


def _ends(gate: Gate, evidence: Evidence) -> tuple[float, float] | str:
    """The figures that have to keep the lower and the upper bound, or why there are none."""
    estimate = evidence.estimate
    if estimate is None or estimate.mean is None:
        return evidence.reason or "there is no figure"
    if gate.figure != "interval":
        return estimate.mean, estimate.mean
    if estimate.low is None or estimate.high is None:
        return "an interval needs two samples, and one has a figure"
    return estimate.low, estimate.high


def _status(gate: Gate, value: float | None, passed: bool, reason: str | None) -> GateStatus:
    return GateStatus(metric=gate.metric, arm=gate.arm, versus=gate.versus, value=value, passed=passed, reason=reason)


def bound(gate: Gate) -> str:
    """The bound for people, such as `at least 0.05`."""
    parts = [
        f"at least {gate.min:g}" if gate.min is not None else "",
        f"at most {gate.max:g}" if gate.max is not None else "",
    ]
    asked = " and ".join(filter(None, parts)) or "a figure"
    return f"{asked} at the interval's near end" if gate.figure == "interval" else asked


def all_passed(gates: Sequence[GateStatus]) -> bool:
    """Whether every gate passed; True without gates."""
    return all(gate.passed for gate in gates)
