"""Calls, tokens and dollars of a run that pays providers, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fabula_api.bills import Billed, CallCount, StageBill, TokenCount
from fabula_api.counts import CallCounts
from fabula_operator.plan.stages.results import add_up
from fabula_operator.plan.stages.view import StageView


def counts_of(view: StageView) -> dict[str, float]:
    """What a stage has counted: its result's figures, else the sum of its shards' last reports."""
    if view.result is not None:
        return view.result.counts
    return add_up(report.body.counts for report in view.reports.values())


def billed(status: Billed, views: Sequence[StageView], unpriced_stages: frozenset[str]) -> dict[str, Any]:
    """Tokens, calls and dollars by stage and in all. What was paid never gets less.

    Figures of a stage that ended stay in the status, since its reports and pods go.
    """
    bills = {bill.stage: bill for bill in status.bills}
    update: dict[str, Any] = {}
    for view in views:
        counts = counts_of(view)
        calls = CallCounts.of(counts)
        if calls.any_call:
            name = view.status.name
            old = bills.get(name) or StageBill(stage=name)
            whole = view.result is not None
            bills[name] = StageBill(
                stage=name,
                cost_usd=max(round(calls.usd, 4), old.cost_usd),
                input=max(int(calls.tokens_in), old.input),
                output=max(int(calls.tokens_out), old.output),
                paid=max(int(calls.paid), old.paid),
                saved=int(calls.saved) or old.saved,
                # A picture that is found again is no loss any more; but a sum of few shards is no news.
                lost=int(calls.lost if whole else max(calls.lost, old.lost)),
                lost_usd=round(calls.lost_usd if whole else max(calls.lost_usd, old.lost_usd), 4),
            )
    if bills:
        stage_bills = list(bills.values())
        update["bills"] = stage_bills
        update["tokens"] = TokenCount(
            input=sum(bill.input for bill in stage_bills), output=sum(bill.output for bill in stage_bills)
        )
        update["calls"] = CallCount(
            paid=sum(bill.paid for bill in stage_bills),
            saved=sum(bill.saved for bill in stage_bills),
            lost=sum(bill.lost for bill in stage_bills),
        )
        # A sum without what was paid at an unknown price would be taken for the bill.
        known = not any(bill.paid and bill.stage in unpriced_stages for bill in stage_bills)
        update["cost_usd"] = round(sum(bill.cost_usd for bill in stage_bills), 4) if known else None
    return update
