"""What a build's paid stages say on its status: bills, calls, tokens, verbatim share; and where such stages run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.observations import NOW, complete, launches, observed, reported, step, written

from fabula_api.dataset_build import DatasetBuildStatus
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.observed import Observed

PAID = {"images": {"provider": "bedrock", "require": 0}}
EXTRACTED = {
    "cost/usd": 1.25, "tokens/input": 1000.0, "tokens/output": 200.0, "calls/paid": 4.0, "calls/saved": 1.0,
    "verbatim/grams": 400.0, "verbatim/found": 396.0, "excerpt/ok": 9.0,
}  # fmt: skip


def extracting() -> Observed:
    """A build whose extraction runs."""
    seen, _ = step(observed("DatasetBuild", PAID))
    seen, _ = step(complete(seen, counts={"episode/ok": 8}))
    return seen


def told(seen: Observed) -> DatasetBuildStatus:
    """The status of the next plan."""
    status = plan(seen, NOW).status
    assert isinstance(status, DatasetBuildStatus)
    return status


def test_a_report_brings_tokens_calls_dollars_and_the_verbatim_share() -> None:
    status = told(reported(extracting(), 5, 4, counts=EXTRACTED))
    assert status.cost_usd == 1.25
    assert status.tokens is not None and (status.tokens.input, status.tokens.output) == (1000, 200)
    assert status.calls is not None and (status.calls.paid, status.calls.saved) == (4, 1)
    assert status.verbatim_ratio == 0.99
    assert {item.kind for item in status.items} == {"episode", "excerpt"}


def test_bills_add_up_over_stages_and_outlive_their_reports() -> None:
    seen, _ = step(complete(extracting(), counts={name: value / 2 for name, value in EXTRACTED.items()}))
    drawing: dict[str, Any] = {"cost/usd": 0.8, "calls/paid": 10.0, "image/ok": 10.0}
    seen = reported(seen, 5, 4, counts=drawing)
    status = told(seen)
    assert [(bill.stage, bill.cost_usd, bill.paid) for bill in status.bills] == [
        ("extract", 1.25, 4), ("illustrate", 0.8, 10),
    ]  # fmt: skip
    assert status.cost_usd == 2.05 and status.calls is not None and status.calls.paid == 14
    later = written(seen, plan(seen, NOW))
    forgetful = replace(later, reports=(), pods=tuple(replace(pod, termination_message=None) for pod in later.pods))
    again = plan(forgetful, NOW).status or forgetful.run.status
    assert isinstance(again, DatasetBuildStatus) and again.cost_usd == 2.05


def test_pictures_that_are_drawn_elsewhere_need_no_gpu() -> None:
    _, made = step(complete(extracting(), counts={"extract/ok": 8}))
    (launch,) = launches(made)
    assert (launch.stage, launch.device, launch.gpus) == ("illustrate", "cpu", 0)
