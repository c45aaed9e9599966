"""The gates of an evaluation: what was found for each that was asked for, and what the condition GatesPassed says."""

from __future__ import annotations

from collections.abc import Sequence

from fabula_api.eval_measures import Gate
from fabula_api.eval_results import GateStatus
from fabula_api.eval_run import EvalRunSpec, EvalRunStatus
from fabula_api.status import ConditionStatus
from fabula_api.summary import GateAnswer


def answered(spec: EvalRunSpec, answers: Sequence[GateAnswer]) -> list[GateStatus]:
    """A status for each gate of the spec, in its order. One that nobody answered has no figure, and has failed."""
    left = list(answers)
    by_position = len(left) == len(spec.gates) and all(answer.metric is None for answer in left)
    statuses = []
    for gate in spec.gates:
        answer = left.pop(0) if by_position else _take(left, gate)
        value = answer.value if answer is not None else None
        # Without a figure nothing can have kept a bound.
        passed = answer is not None and answer.passed and value is not None
        reason = answer.reason if answer is not None else None
        statuses.append(
            GateStatus(metric=gate.metric, arm=gate.arm, versus=gate.versus, value=value, passed=passed, reason=reason)
        )
    return statuses


def _take(left: list[GateAnswer], gate: Gate) -> GateAnswer | None:
    """The first answer that speaks of the gate's figure, taken out of those that are left: two gates may bound one."""
    asked = (gate.metric, gate.arm, gate.versus)
    position = next((at for at, answer in enumerate(left) if (answer.metric, answer.arm, answer.versus) == asked), None)
    return None if position is None else left.pop(position)


def gates(status: EvalRunStatus, spec: EvalRunSpec) -> tuple[ConditionStatus, str, str]:
    """(status, reason, message) of the condition GatesPassed. A run that asks for none has not passed any."""
    if not spec.gates:
        return "Unknown", "NoGates", ""
    if not status.gates:
        return "Unknown", "NotScored", ""
    if all(gate.passed for gate in status.gates):
        count = len(status.gates)
        return "True", "AllPassed", f"{count} of {count} gates passed"
    broken = [(position, gate) for position, gate in enumerate(status.gates) if not gate.passed]
    return "False", "GateFailed", "; ".join(_broken(gate, position, status, spec) for position, gate in broken)


def _broken(gate: GateStatus, position: int, status: EvalRunStatus, spec: EvalRunSpec) -> str:
    """`format-compliance of finetuned versus base is 0, below 0.05`."""
    what = f"{gate.metric} of {gate.arm}{f' versus {gate.versus}' if gate.versus else ''}"
    if gate.value is None:
        return f"{what} could not be computed{f': {gate.reason}' if gate.reason else ''}"
    if gate.reason:
        return f"{what} is {gate.value:.4g}: {gate.reason}"
    told = f"{what} is {gate.value:.4g}"
    asked = spec.gates[position] if len(spec.gates) == len(status.gates) else None
    if asked is not None and (asked.metric, asked.arm, asked.versus) != (gate.metric, gate.arm, gate.versus):
        asked = None
    if asked is not None and asked.min is not None and gate.value < asked.min:
        return f"{told}, below {asked.min:.4g}"
    if asked is not None and asked.max is not None and gate.value > asked.max:
        return f"{told}, above {asked.max:.4g}"
    return told
