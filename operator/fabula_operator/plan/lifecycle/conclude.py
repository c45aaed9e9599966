"""What is set on every plan, whatever it is for: the estimate, conditions, and the events that follow."""

from __future__ import annotations

from datetime import datetime

from fabula_api.eval_run import EvalRunSpec, EvalRunStatus
from fabula_api.fine_tune_run import FineTuneRunStatus
from fabula_api.status import RunStatus
from fabula_api.worker import Spec
from fabula_operator.plan.acceptance.accept import expected, is_dry_run
from fabula_operator.plan.acceptance.preflight import Preflight
from fabula_operator.plan.actions import Action, Plan
from fabula_operator.plan.kinds.gates import gates
from fabula_operator.plan.money import unpriced
from fabula_operator.plan.money.gpu_hours import timed
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.plan.status import conditions as condition
from fabula_operator.plan.status.conditions import Wanted
from fabula_operator.plan.status.notices import notices

_ACCEPTED = {"may not fit": "MayNotFit", "does not fit": "DoesNotFit"}


def conclude(
    seen: Observed, spec: Spec | None, status: RunStatus, wanted: Wanted, *, actions: tuple[Action, ...] = (),
    requeue_after: float | None = None, now: datetime,
) -> Plan:  # fmt: skip
    """The plan with conditions set and the events that follow from what changed."""
    run = seen.run
    if isinstance(status, EvalRunStatus):
        unknown: Wanted = {"GatesPassed": ("Unknown", "NotScored", "")}
        wanted = {**wanted, **({"GatesPassed": gates(status, spec)} if isinstance(spec, EvalRunSpec) else unknown)}
    if isinstance(status, FineTuneRunStatus):
        wanted = {"Healthy": ("Unknown", "NotRunning", ""), **wanted}
        status = status.replace(attempts=timed(status.attempts))
    if spec is not None and (made := expected(seen, spec)) is not None:
        wanted = {**wanted, "Accepted": ("True", _ACCEPTED.get(made.verdict, "Valid"), made.message)}
    if doubt := unpriced.without_budget(spec):
        wanted = {**wanted, "Accepted": ("True", unpriced.REASON, doubt)}
    if spec is not None and is_dry_run(spec):
        wanted = {**wanted, "Accepted": ("True", "DryRun", "an estimate only: no provider is called, nothing is spent")}
    status = status.replace(
        observed_generation=run.generation,
        conditions=condition.conditions(run.status.conditions, wanted, run.generation, now),
    )
    return Plan(status, actions, notices(run.status, status, run.generation), requeue_after)


def estimated(status: RunStatus, made: Preflight | None) -> RunStatus:
    """The status with the estimate. Hours that were once known stay, even if the dataset they came from goes."""
    if not isinstance(status, FineTuneRunStatus):
        return status
    estimate = made.estimate if made else None
    if estimate is not None and estimate.hours is None and status.estimate is not None and status.started_at:
        estimate = estimate.replace(hours=status.estimate.hours)
    return status.replace(estimate=estimate)
