"""Gates: bounds on figures. What cannot be computed, or what cannot be trusted, does not pass."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fabula_api.eval_measures import Gate
from fabula_api.eval_results import GateStatus
from fabula_workloads.metrics.bootstrap import Estimate, paired_difference

Samples = Mapping[tuple[str, str], Mapping[str, float]]
"""(arm, metric) -> sample -> figure."""


def judge(
    gate: Gate, figures: Samples, means: Mapping[tuple[str, str], Estimate], distrusted: Collection[str]
) -> GateStatus:
    """What a gate found. With `versus`, the figure is the mean of the paired differences.

    A metric whose self-test failed is in `distrusted`: its gates show their value and fail.
    """
    if gate.versus is None:
        found = means.get((gate.arm, gate.metric))
        value = found.mean if found else None
    else:
        ours, theirs = figures.get((gate.arm, gate.metric), {}), figures.get((gate.versus, gate.metric), {})
        value = paired_difference(ours, theirs).mean
    passed = (
        value is not None
        and gate.metric not in distrusted
        and (gate.min is None or value >= gate.min)
        and (gate.max is None or value <= gate.max)
    )
    return GateStatus(metric=gate.metric, arm=gate.arm, versus=gate.versus, value=value, passed=passed)


def bound(gate: Gate) -> str:
    """The bound for people, such as `at least 0.05`."""
    parts = [
        f"at least {gate.min:g}" if gate.min is not None else "",
        f"at most {gate.max:g}" if gate.max is not None else "",
    ]
    return " and ".join(filter(None, parts)) or "a figure"


def all_passed(gates: Sequence[GateStatus]) -> bool:
    """Whether every gate passed; True without gates."""
    return all(gate.passed for gate in gates)
