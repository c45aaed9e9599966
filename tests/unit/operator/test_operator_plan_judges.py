"""Judges of an evaluation, as the operator plans them: a paid stage each, one quota and one budget with all kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.in_blocks import in_blocks
from tests.support.observations import NOW, complete, condition, finished, launches, observed, step
from tests.support.operator_driver import EVAL_SPEC

from fabula_api.eval_run import EvalRunSpec, EvalRunStatus
from fabula_api.judging import judge_usd, plan_of
from fabula_api.worker import StageReport
from fabula_operator.handlers.allowances import answer
from fabula_operator.handlers.reports import Reports
from fabula_operator.kube.cache import Cache
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.money.paid import payers
from fabula_operator.plan.money.quota import stage_budget

SONNET = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
JUDGES: list[dict[str, Any]] = [
    {"name": "opus", "model": "global.anthropic.claude-opus-4-5-20251101-v1:0", "shards": 2},
    {"name": "gpt", "provider": "openai", "model": "gpt-5.2", "endpointUrl": "https://api.openai.com/v1"},
]
PRICES = {"gpt-5.2": {"inputPerMillion": 5, "outputPerMillion": 25}}
SPEC = {**EVAL_SPEC, "judges": JUDGES, "prices": PRICES}


def until_judging(spec: dict[str, Any]) -> Any:
    seen, _ = step(observed("EvalRun", spec))
    seen, _ = step(complete(seen))
    return step(complete(seen))


def test_each_judge_is_a_stage_that_reads_all_answers_and_the_score_reads_each_judge() -> None:
    seen, made = until_judging(SPEC)
    opus, gpt = launches(made)
    assert [(one.stage, one.arm, one.shards) for one in (opus, gpt)] == [("judge", "opus", 2), ("judge", "gpt", 1)]
    assert [one.name for one in opus.inputs] == ["select", "infer/base", "infer/finetuned"]
    assert opus.key != gpt.key
    assert opus.grace_seconds >= 60 + 2048 / 15
    assert [stage.name for stage in made.status.stages][-3:] == ["judge/opus", "judge/gpt", "score"]
    _, made = step(complete(seen))
    (score,) = launches(made)
    assert [one.name for one in score.inputs][-3:] == ["judge/opus", "judge/gpt", "clipModel"]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"concurrency": 9, "shards": 5}, True),
        ({"quota": {"requestsPerMinute": 5}}, True),
        ({"tries": 2}, False),
        ({"model": "other.model"}, False),
        ({"rubric": "own"}, False),
    ],
)
def test_what_decides_a_verdict_decides_its_key(change: dict[str, Any], same: bool) -> None:
    rubrics = [{"name": "own", "task": "Say which is shorter."}]
    prices = PRICES | {"other.model": {}}
    _, before = until_judging({**SPEC, "prices": prices, "rubrics": rubrics})
    _, after = until_judging({**SPEC, "prices": prices, "rubrics": rubrics, "judges": [JUDGES[0] | change, JUDGES[1]]})
    assert (launches(before)[0].key == launches(after)[0].key) == same
    assert launches(before)[1].key == launches(after)[1].key


def test_the_words_of_a_rubric_decide_as_its_name_does() -> None:
    judges = [JUDGES[0] | {"rubric": "own"}]
    keys = {
        launches(until_judging({**SPEC, "judges": judges, "rubrics": [{"name": "own", "task": task}]})[1])[0].key
        for task in ("Say which is shorter.", "Say which is longer.")
    }
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"judges": [JUDGES[0] | {"rubric": "gold"}]}, "spec.judges[0].rubric: there is no rubric gold"),
        ({"judges": [JUDGES[0], JUDGES[0]]}, "two judges have the same name"),
        ({"gates": [{"metric": "judge/pope", "arm": "base", "min": 0.5}]}, "there is no judge pope"),
        ({"arms": EVAL_SPEC["arms"][:1], "gates": []}, "compares two answers, and there is one arm"),
        ({"budget": {"usd": 5}, "prices": {}}, "spec.judges[gpt].model gpt-5.2"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_anything_is_paid(change: dict[str, Any], words: str) -> None:
    made = plan(observed("EvalRun", {**SPEC, **change}), NOW)
    assert made.status is not None
    assert made.status.failure is not None
    assert words in made.status.failure.message


def test_calls_are_planned_and_a_budget_is_divided_by_what_each_costs() -> None:
    spec = EvalRunSpec.model_validate({**SPEC, "budget": {"usd": 12}})
    # One pair, six samples, both orders; and four calls on each of six samples to try the judge.
    assert [plan_of(spec, one).calls for one in spec.judges] == [36, 36]
    parts = [judge_usd(spec, one) for one in spec.judges]
    assert parts == [pytest.approx(6), pytest.approx(6)]
    assert stage_budget(spec, "judge/opus", ()) == pytest.approx(6)
    every = EvalRunSpec.model_validate({**SPEC, "judges": [JUDGES[0] | {"pairs": "all", "tries": 3}]})
    assert plan_of(every, every.judges[0]).calls == 6 * 2 * 3 + 24
    assert set(payers(spec)) == {"judge/opus", "judge/gpt"}


FOUND = {
    "name": "opus",
    "pairs": [{"arm": "finetuned", "versus": "base", "winRate": 0.75, "low": 0.5, "high": 0.9, "wins": 4, "ties": 1,
               "losses": 1}],
    "trusted": False,
    "selfTest": "it takes the first answer in 100% of its calls",
}  # fmt: skip


def test_the_status_tells_calls_dollars_win_rates_and_whom_not_to_trust() -> None:
    counts = {"verdict/ok": 18, "calls/paid": 36, "cost/usd": 0.5, "tokens/input": 100, "tokens/output": 9}
    seen = finished(observed("EvalRun", SPEC), summary={"judges": [FOUND]}, counts=counts)
    status = seen.run.status
    assert isinstance(status, EvalRunStatus)
    opus, gpt = status.judges
    assert (opus.planned, opus.calls, opus.cost_usd) == (36, 72, 1.0), "of two shards"
    assert opus.pairs[0].win_rate == 0.75
    assert gpt.pairs == []
    bills = {bill.stage: bill.cost_usd for bill in status.bills}
    assert (bills["judge/opus"], bills["judge/gpt"]) == (1.0, 0.5)
    assert condition(status, "JudgesTrusted") == ("False", "SelfTestFailed")
    assert status.state == "Succeeded"


def test_without_judges_nothing_is_said_of_them() -> None:
    status = finished(observed("EvalRun")).run.status
    assert isinstance(status, EvalRunStatus)
    assert status.judges == []
    assert "JudgesTrusted" not in {one.type for one in status.conditions}
    assert status.cost_usd is None


def running(spec: dict[str, Any], stages: list[str]) -> dict[str, Any]:
    meta = {"name": "eval", "namespace": "team", "uid": "uid-eval", "generation": 1, "resourceVersion": "1"}
    status = {"state": "Running", "stages": [{"name": name, "state": "Running"} for name in stages]}
    return {"apiVersion": "fabula.dev/v1alpha1", "kind": "EvalRun", "metadata": meta, "spec": spec, "status": status}


def dataset(**changes: Any) -> dict[str, Any]:
    source = {"uri": "x", "licenseAccepted": True}
    spec = in_blocks("DatasetBuild", {"source": source, "images": {"provider": "none"}, **changes})
    meta = {"name": "build", "namespace": "team", "uid": "uid-build", "generation": 1, "resourceVersion": "1"}
    status = {"state": "Running", "stages": [{"name": "extract", "state": "Running"}]}
    return {
        "apiVersion": "fabula.dev/v1alpha1",
        "kind": "DatasetBuild",
        "metadata": meta,
        "spec": spec,
        "status": status,
    }


def test_a_judge_and_a_dataset_build_share_the_quota_of_one_group() -> None:
    quota = {"requestsPerMinute": 60, "group": "account"}
    build = dataset(extraction={"provider": "bedrock", "model": SONNET, "workers": 1, "quota": quota})
    judge = {"name": "sonnet", "model": SONNET, "quota": quota}
    evaluation = running({**EVAL_SPEC, "judges": [judge, judge | {"name": "again"}]}, ["judge/sonnet", "judge/again"])
    cache, reports = Cache(), Reports()
    for obj in (build, evaluation):
        cache.put(obj)

    def post(obj: dict[str, Any], stage: str, judge: str | None = None) -> float | None:
        uid = obj["metadata"]["uid"]
        held = reports_held.get((uid, judge))
        body = StageReport(stage=stage, arm=judge, total=10, quota=held)
        reports.put(uid, body, f"pod-{stage}-{judge}", NOW)
        told = answer(cache, reports, obj, body, NOW)
        if told.lease is not None:
            reports_held[uid, judge] = told.lease
        return told.requests_per_minute

    reports_held: dict[Any, Any] = {}
    assert post(build, "extract") == 60
    assert post(evaluation, "judge", "sonnet") == 0, "all of it is the build's until it gives a part of it up"
    shares = []
    for _ in range(6):
        shares = [post(build, "extract"), post(evaluation, "judge", "sonnet"), post(evaluation, "judge", "again")]
        assert sum(share or 0 for share in shares) <= 60
    assert shares == [20, 20, 20]


def test_a_suspended_evaluation_holds_none_of_it() -> None:
    seen, _ = until_judging(SPEC)
    stopped = replace(seen, run=replace(seen.run, spec={**SPEC, "suspend": True}))
    assert not launches(plan(stopped, NOW))
