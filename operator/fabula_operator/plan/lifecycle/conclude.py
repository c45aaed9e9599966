"""What is set on every plan, whatever it is for: conditions, and the events that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from fabula_operator.plan.acceptance.refusal import Accepted
from fabula_operator.plan.actions import Plan
from fabula_operator.plan.kinds import KINDS, RunKind
from fabula_operator.plan.money import unpriced
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.plan.stages.view import StageView
from fabula_operator.plan.status.conditions import Phase, Told, conditions
from fabula_operator.plan.status.notices import notices

_FITS = {"may not fit": "MayNotFit", "does not fit": "DoesNotFit"}


def conclude(
    seen: Observed,
    accepted: Accepted | None,
    draft: Plan,
    phase: Phase,
    now: datetime,
    at_work: Sequence[StageView] | None = None,
) -> Plan:
    """The draft, which has a status, with conditions set and the events that follow from what changed.

    `accepted` is None for a run whose spec is refused or could not be looked at, `at_work` where nothing of it is.
    """
    assert draft.status is not None
    run, kind = seen.run, KINDS[seen.run.identity.kind]
    status = kind.timed(draft.status)
    spec = accepted.spec if accepted else None
    told = {**phase.told(), **kind.conditions(spec, status, at_work)}
    if accepted is not None:
        told["Accepted"] = _accepted(kind, accepted, phase)
    status = status.replace(
        observed_generation=run.generation,
        conditions=conditions(run.status.conditions, told, run.generation, now),
    )
    news = notices(run.status, status, run.generation, kind.attempts(run.status), kind.attempts(status))
    return replace(draft, status=status, notices=news)


def _accepted(kind: RunKind[Any, Any], accepted: Accepted, phase: Phase) -> Told:
    """What a run that was accepted is told of it, the first that there is to say."""
    if kind.dry_run(accepted.spec):
        return "True", "DryRun", "an estimate only: no provider is called, nothing is spent"
    if doubt := unpriced.without_budget(accepted.spec):
        return "True", unpriced.REASON, doubt
    if planned := kind.planned(accepted.spec):
        return "True", "Valid", planned
    if (preflight := accepted.preflight) is not None:
        return "True", _FITS.get(preflight.verdict, "Valid"), preflight.message
    return phase.accepted
