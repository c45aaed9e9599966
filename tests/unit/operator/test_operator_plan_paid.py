"""What a build's paid stages say on its status: bills, calls, tokens, verbatim share; and where such stages run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.observations import (
    NOW,
    complete,
    condition,
    edited,
    finished,
    launches,
    observed,
    reported,
    step,
    written,
)

from fabula_api.bills import CallCount, StageBill, TokenCount
from fabula_api.dataset_build import DatasetBuildStatus
from fabula_api.worker import StageReport
from fabula_operator.plan.actions import DeleteChild
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.money.quota import paid_for
from fabula_operator.plan.seen.observed import Observed, Report
from fabula_operator.plan.status.significance import only_progress

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
    assert status.figures == {"verbatimRatio": 0.99}
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


def test_a_stage_that_ended_unheard_shows_all_that_it_did() -> None:
    """After an operator's restart the last reports may tell of a part only; the results tell of all."""
    counts = {"extract/ok": 6.0, "extract/failed/MalformedReply": 1.0, "extract/left/BudgetReached": 3.0}
    seen = reported(extracting(), 5, 2, total=5)
    seen, _ = step(complete(written(seen, plan(seen, NOW)), counts=counts))
    extract = next(stage for stage in seen.run.status.stages if stage.name == "extract")
    assert (extract.done, extract.failed) == (14, 2), "of two shards"


def test_what_was_lost_on_the_way_is_said_and_lessens_what_pictures_may_take() -> None:
    lost = {**EXTRACTED, "calls/lost": 2.0, "cost/lostUsd": 0.5}
    status = told(reported(extracting(), 5, 4, counts=lost))
    assert [(bill.lost, bill.lost_usd) for bill in status.bills] == [(2, 0.5)]
    assert status.calls is not None and status.calls.lost == 2
    assert status.cost_usd == 1.25, "of these nobody knows"
    assert paid_for(status.bills, ["extract"]) == 1.75


def test_pictures_that_are_drawn_elsewhere_need_no_gpu() -> None:
    _, made = step(complete(extracting(), counts={"extract/ok": 8}))
    (launch,) = launches(made)
    assert (launch.stage, launch.device, launch.gpus) == ("illustrate", "cpu", 0)


def test_pods_that_pay_are_given_the_time_to_take_the_answers_of_the_calls_in_hand() -> None:
    paid = {**PAID, "extraction": {"provider": "bedrock", "maxTokens": 8192}}
    seen, _ = step(observed("DatasetBuild", paid))
    seen, made = step(complete(seen, counts={"episode/ok": 8}))
    (extract,) = launches(made)
    (illustrate,) = launches(step(complete(seen, artifact=None))[1])
    assert (extract.grace_seconds, illustrate.grace_seconds) == (60 + 547 + 10, 60 + 10)
    free = step(complete(step(observed("DatasetBuild"))[0], counts={"episode/ok": 8}))[1]
    assert [launch.grace_seconds for launch in launches(free)] == [0]


def test_what_holds_a_worker_up_is_said_while_it_does() -> None:
    held = {"reason": "ProviderThrottled", "message": "the provider turns calls away (ThrottlingException)"}
    status = told(reported(extracting(), 5, 4, total=8, condition=held))
    assert (status.state, status.reason) == ("Running", "ProviderThrottled")
    assert condition(status, "Running") == ("True", "ProviderThrottled")
    status = told(reported(extracting(), 5, 4, total=8))
    assert status.reason is None


def test_which_shards_are_held_up_is_said_and_what_can_pass_comes_before_what_is_over() -> None:
    def report(shard: int, reason: str) -> Report:
        body = StageReport(stage="extract", shard=shard, done=1, total=8, condition={"reason": reason, "message": "so"})  # type: ignore[arg-type]
        return Report(body, NOW, 0, NOW, pods[shard].name)

    seen = extracting()
    pods = {pod.index: pod for pod in seen.pods if pod.owner_uid == seen.children[-1].uid}
    both = replace(seen, reports=(report(0, "ProviderThrottled"), report(1, "ProviderThrottled")))
    running = next(one for one in told(both).conditions if one.type == "Running")
    assert (running.reason, running.message) == ("ProviderThrottled", "shard 0 and 1 more of 2: so")
    mixed = told(replace(seen, reports=(report(0, "BudgetReached"), report(1, "ProviderUnavailable"))))
    assert mixed.reason == "ProviderUnavailable"
    assert next(one.message for one in mixed.conditions if one.type == "Running") == "shard 1 of 2: so"


def test_a_build_that_stopped_at_its_budget_says_so_at_the_end() -> None:
    counts = {"extract/ok": 5, "extract/left/BudgetReached": 7}
    seen = finished(observed("DatasetBuild", {**PAID, "budget": {"usd": 5}}), artifact=None, counts=counts)
    message = next(one.message for one in seen.run.status.conditions if one.type == "Succeeded")
    assert "BudgetReached: 7 left in extract" in message
    assert seen.run.status.reason == "BudgetReached", "a column of kubectl get -o wide"
    assert seen.run.status.progress is not None and "BudgetReached" not in str(seen.run.status.progress.summary)
    seen = finished(edited(seen, budget={"usd": 50}), artifact=None, counts={"extract/ok": 12})
    assert not [item for item in seen.run.status.items if item.outcome == "left"]


def folders(seen: Observed, rounds: int = 10) -> dict[str, str]:
    """The folder of each stage that is started from here on."""
    found: dict[str, str] = {}
    for _ in range(rounds):
        seen, made = step(complete(seen, artifact=None))  # sharded stages commit none
        found |= {launch.stage: launch.output for launch in launches(made)}
    return found


def test_a_raised_budget_goes_on_in_the_same_folders_and_assembles_anew() -> None:
    bounded = {**PAID, "budget": {"usd": 5}, "target": {"samples": 100}}
    first = folders(observed("DatasetBuild", bounded))
    seen = edited(finished(observed("DatasetBuild", bounded), artifact=None), budget={"usd": 50})
    again = folders(seen)
    assert set(again) == {"extract", "illustrate", "assemble"}
    assert (again["extract"], again["illustrate"]) == (first["extract"], first["illustrate"])
    assert again["assemble"] != first["assemble"]


def test_a_raised_retry_goes_over_the_same_folders_and_forgets_the_failures_it_mended() -> None:
    failing = {"extract/ok": 7, "extract/failed/MalformedReply": 1, "excerpt/ok": 9}
    first = folders(observed("DatasetBuild", PAID))
    seen = finished(observed("DatasetBuild", PAID), artifact=None, counts=failing)
    assert [one.reason for one in seen.run.status.items if one.outcome == "failed"] == ["MalformedReply"]  # type: ignore[attr-defined]
    again = edited(seen, retryFailed=1)
    anew = folders(again)
    assert set(anew) == {"extract", "illustrate", "assemble"}
    assert (anew["extract"], anew["illustrate"]) == (first["extract"], first["illustrate"])
    assert anew["assemble"] != first["assemble"]
    mended = finished(again, artifact=None, counts={"extract/ok": 8, "excerpt/ok": 11})
    assert not [one for one in mended.run.status.items if one.outcome == "failed"]  # type: ignore[attr-defined]


def test_a_build_that_never_retried_keeps_its_keys() -> None:
    assert folders(observed("DatasetBuild", PAID)) == folders(observed("DatasetBuild", {**PAID, "retryFailed": 0}))


ESTIMATE = {
    "calls": 900, "inputTokens": 1000, "outputTokens": 200, "usd": 12.5, "minutes": 31.0, "items": {"excerpts": 40},
    "sampled": 8,
}  # fmt: skip


def dry_ended(spec: dict[str, Any]) -> tuple[Observed, list[str]]:
    """A dry run that ended, and the stages that it started."""
    seen, started = observed("DatasetBuild", spec), []
    for _ in range(4):
        seen, made = step(complete(seen, artifact=None, counts={}, summary={"estimate": ESTIMATE}))
        started += [launch.stage for launch in launches(made)]
    return seen, started


def test_a_dry_run_estimates_and_starts_nothing_that_pays() -> None:
    seen, started = dry_ended({**PAID, "dryRun": True})
    status = seen.run.status
    assert started == ["ingest", "estimate"]
    assert isinstance(status, DatasetBuildStatus) and status.estimate is not None
    assert status.estimate.to_wire() == ESTIMATE
    assert (status.state, status.artifact, status.bills) == ("Succeeded", None, [])
    assert condition(status, "Accepted") == ("True", "DryRun") and condition(status, "Succeeded") == ("True", "DryRun")
    message = next(one.message for one in status.conditions if one.type == "Succeeded")
    assert message == "dry run: 900 calls, $12.50, 31 minutes"


def test_after_a_dry_run_the_build_goes_on_from_what_was_read() -> None:
    seen = edited(dry_ended({**PAID, "dryRun": True})[0], dryRun=False)
    seen, made = step(seen)
    assert [launch.stage for launch in launches(made)] == ["extract"]
    status = made.status
    assert isinstance(status, DatasetBuildStatus) and status.estimate is not None, "to compare with the bill"
    assert condition(status, "Accepted") == ("True", "Valid")


def test_a_dry_run_of_a_finished_build_leaves_its_dataset() -> None:
    seen = finished(observed("DatasetBuild", PAID))
    artifact = seen.run.status.artifact  # type: ignore[attr-defined]
    again = edited(seen, dryRun=True, target={"samples": 9})
    for _ in range(3):
        again, _ = step(complete(again, artifact=None, summary={"estimate": ESTIMATE}))
    status = again.run.status
    assert isinstance(status, DatasetBuildStatus) and status.estimate is not None
    assert artifact is not None and status.artifact == artifact


def test_another_prompt_of_work_has_another_folder() -> None:
    bounded = {**PAID, "budget": {"usd": 5}}
    longer = {**bounded, "extraction": {"provider": "rules", "words": {"min": 100, "max": 200}, "workers": 2}}
    assert folders(observed("DatasetBuild", bounded))["extract"] != folders(observed("DatasetBuild", longer))["extract"]


def test_an_edit_in_the_middle_waits_until_the_pods_before_it_are_gone() -> None:
    """Two Jobs over one folder could pay for one item twice."""
    seen = edited(extracting(), budget={"usd": 50})
    seen, made = step(seen)
    assert launches(made) == []
    assert [type(action) for action in made.actions] == [DeleteChild]
    assert made.status is not None and made.status.reason == "Replacing"
    without_job = replace(seen, children=seen.children[:-1])
    assert launches(plan(without_job, NOW)) == [], "its pods may outlive the Job"
    ended = tuple(replace(pod, phase="Failed") for pod in without_job.pods)
    (launch,) = launches(plan(replace(without_job, pods=ended), NOW))
    assert launch.stage == "extract"


PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
UNPRICED: dict[str, Any] = {**PAID, "extraction": {"provider": "bedrock", "model": PROFILE}}


def accepted(seen: Observed) -> tuple[str, str, str]:
    found = next(one for one in written(seen, plan(seen, NOW)).run.status.conditions if one.type == "Accepted")
    return found.status, found.reason, found.message


def test_dollars_of_a_model_without_a_price_are_told_as_not_known() -> None:
    seen = observed("DatasetBuild", UNPRICED)
    state, reason, message = accepted(seen)
    assert (state, reason) == ("True", "PriceUnknown")
    assert f"no price of spec.podcast.extraction.model {PROFILE} is known" in message and "in spec.prices" in message
    told_of = [one for one in plan(seen, NOW).notices if one.reason == "PriceUnknown"]
    assert [(one.type, one.message) for one in told_of] == [("Warning", message)]
    seen, _ = step(seen)
    assert not any(one.reason == "PriceUnknown" for one in plan(seen, NOW).notices), "once"
    seen, _ = step(complete(seen, counts={"episode/ok": 8}))
    status = told(reported(seen, 5, 4, counts={**EXTRACTED, "cost/usd": 0.0}))
    assert status.cost_usd is None and status.calls is not None and status.calls.paid == 4
    assert "costUsd" not in status.to_wire()


def test_a_budget_that_could_not_be_kept_is_refused_before_anything_is_paid() -> None:
    budget = {"budget": {"usd": 5}}
    state, reason, message = accepted(observed("DatasetBuild", UNPRICED | budget))
    assert (state, reason) == ("False", "PriceUnknown")
    assert "spec.budget.usd is 5" in message and PROFILE in message and "in spec.prices" in message
    prices = {"prices": {PROFILE: {"inputPerMillion": 3, "outputPerMillion": 15, "outputQuotaWeight": 5}}}
    assert accepted(observed("DatasetBuild", UNPRICED | budget | prices))[:2] == ("True", "Valid")
    assert accepted(observed("DatasetBuild", UNPRICED | budget | {"dryRun": True}))[:2] == ("True", "DryRun")
    drawn = {"images": {"provider": "bedrock", "bedrockModel": PROFILE}}
    assert "spec.podcast.images.bedrockModel" in accepted(observed("DatasetBuild", drawn | budget))[2]
    free = {"images": {"provider": "none"}, "extraction": {"provider": "rules", "model": PROFILE}}
    assert accepted(observed("DatasetBuild", free | budget))[:2] == ("True", "Valid")


def test_what_further_calls_cost_is_progress_and_waits_for_its_turn() -> None:
    """Each report of a shard brings a call or two; written at once, each would be a write of the status."""
    old = DatasetBuildStatus(state="Running", bills=[StageBill(stage="extract", paid=3, cost_usd=0.1)], cost_usd=0.1)
    more = {
        "bills": [StageBill(stage="extract", paid=4, cost_usd=0.2)],
        "cost_usd": 0.2,
        "figures": {"verbatimRatio": 0.9},
    }
    new = old.replace(**more, calls=CallCount(paid=4), tokens=TokenCount(input=9))
    assert only_progress(old, new)
    assert not only_progress(old, new.replace(reason="ProviderThrottled"))
