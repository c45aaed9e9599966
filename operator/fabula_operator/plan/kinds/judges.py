"""The judges of an evaluation: what each was to cost and has cost, what it found, and whether it can judge at all."""

from __future__ import annotations

from collections.abc import Sequence

from fabula_api.bills import StageBill
from fabula_api.counts import BUDGET_REACHED, left
from fabula_api.entries import instance
from fabula_api.eval_run import EvalRunSpec, EvalRunStatus
from fabula_api.judge_results import JudgeFound, JudgeStatus
from fabula_api.judging import plan_of
from fabula_operator.plan.kinds.billing import counts_of
from fabula_operator.plan.stages.view import StageView
from fabula_operator.plan.status.conditions import Told

_STAGE = "judge"
_LEFT = left(_STAGE, BUDGET_REACHED)


def judges(
    status: EvalRunStatus,
    spec: EvalRunSpec,
    views: Sequence[StageView],
    bills: Sequence[StageBill],
    answers: Sequence[JudgeFound] | None,
) -> list[JudgeStatus]:
    """Each judge of the spec. `answers` is what the report tells of them; None leaves what is known as it is."""
    known = {judge.name: judge for judge in status.judges}
    answered = None if answers is None else {answer.name: answer for answer in answers}
    at = {view.arm: view for view in views if view.stage.for_each == "judges"}
    bill_of = {bill.stage: bill for bill in bills}
    statuses = []
    for judge in spec.judges:
        old = known.get(judge.name) or JudgeStatus(name=judge.name)
        base = old if answered is None else answered.get(judge.name) or JudgeFound(name=judge.name)
        plan, bill = plan_of(spec, judge), bill_of.get(instance(_STAGE, judge.name)) or StageBill(stage=_STAGE)
        view = at.get(judge.name)
        unasked = old.left if view is None or view.result is None else int(counts_of(view).get(_LEFT, 0))
        statuses.append(
            JudgeStatus.model_validate(
                base.model_dump()
                | {
                    "planned": plan.calls,
                    "planned_usd": plan.usd,
                    "calls": bill.paid,
                    "cost_usd": None if plan.usd is None else bill.cost_usd,
                    "left": unasked,
                }
            )
        )
    return statuses


def trusted(status: EvalRunStatus) -> Told:
    """(status, reason, message) of the condition JudgesTrusted, of a run with judges."""
    tried = [judge for judge in status.judges if judge.trusted is not None]
    if broken := [judge for judge in tried if not judge.trusted]:
        told = "; ".join(f"judge {judge.name}: {judge.self_test or 'it failed its self-test'}" for judge in broken)
        return "False", "SelfTestFailed", f"{told}. No gate rests on it"[:1000]
    if not tried:
        return "Unknown", "NotScored", ""
    return "True", "AllTrusted", f"{len(tried)} judges stood their self-test"
