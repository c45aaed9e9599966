"""The life of an EvalRun: arms side by side, the score, gates and self-tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.observations import (
    DIGEST,
    NOW,
    complete,
    condition,
    edited,
    finished,
    launches,
    observed,
    reference,
    said,
    step,
)
from tests.support.operator_driver import EVAL_SPEC

from fabula_api.eval_run import EvalRunStatus
from fabula_api.worker import StageReport
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Observed, Report
from fabula_operator.render.launch import WorkerSettings
from fabula_operator.render.pod import pod_template

ARM = {
    "name": "base",
    "done": 6,
    "unparseable": 2,
    "metrics": [{"name": "format-compliance", "mean": 0.25, "count": 4}],
}
SCORED: dict[str, Any] = {
    "arms": [ARM, {**ARM, "name": "finetuned"}],
    "comparisons": [{"arm": "finetuned", "versus": "base", "metric": "words", "delta": 3.0, "count": 6}],
    "gates": [{"metric": "format-compliance", "arm": "finetuned", "versus": "base", "value": 0.0, "passed": True}],
    "selfTests": [{"name": "shuffled pictures", "passed": True, "message": "drops by 3"}],
}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("podcast/wordz", "spec.metrics[1]: there is no metric podcast/wordz; the recipe podcast has words, "),
        ("podcast/clip-score", "spec.metrics[1]: there is no metric podcast/clip-score; did you mean clip-score?"),
    ],
)
def test_a_metric_that_the_recipe_does_not_have_is_refused_before_anything_is_paid(name: str, said: str) -> None:
    _, made = step(observed("EvalRun", {**EVAL_SPEC, "metrics": ["words", name], "gates": []}))
    assert condition(made.status, "Accepted") == ("False", "InvalidSpec")
    assert made.status is not None and said in made.status.conditions[0].message
    assert not launches(made)


def test_both_arms_start_at_once_each_with_its_own_shards_and_key() -> None:
    seen, _ = step(observed("EvalRun"))
    _, made = step(complete(seen))
    base, tuned = launches(made)
    assert [(one.arm, one.shards) for one in (base, tuned)] == [("base", 2), ("finetuned", 2)]
    assert base.key != tuned.key
    assert base.child != tuned.child
    assert [one.name for one in base.inputs] == ["select", "model"]
    assert [one.name for one in tuned.inputs] == ["select", "model", "adapter"]


def test_the_score_reads_every_arm() -> None:
    seen, _ = step(observed("EvalRun"))
    seen, _ = step(complete(seen))
    _, made = step(complete(seen))
    (launch,) = launches(made)
    assert [one.name for one in launch.inputs] == ["select", "infer/base", "infer/finetuned", "clipModel"]
    assert launch.inputs[1].digest.startswith("sha256:")


def test_gpus_of_an_arm_choose_image_and_limit() -> None:
    arms = [{**EVAL_SPEC["arms"][0], "gpusPerShard": 1}, EVAL_SPEC["arms"][1]]
    seen, _ = step(observed("EvalRun", {"arms": arms}))
    _, made = step(complete(seen))
    assert [(one.device, one.gpus) for one in launches(made)] == [("cuda", 1), ("cpu", 0)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"gpusPerShard": 2}, "gpusPerShard: transformers holds a model on one GPU; set engine: vllm"),
        ({"engine": "vllm", "quantization": "nf4"}, "quantization: vllm is not asked to hold a base in 4 bits"),
        ({"endpointUrl": "https://a.example/v1"}, "endpointUrl: engine transformers loads the model itself"),
        ({"engine": "openai"}, "endpointUrl: engine openai asks a server; give its address"),
        ({"engine": "openai", "endpointUrl": "s3://a/v1"}, "endpointUrl: a server's address begins with https://"),
        (
            {"engine": "openai", "endpointUrl": "https://a.example/v1"},
            "model: engine openai asks for a model by the name",
        ),
    ],
)
def test_an_arm_that_its_engine_cannot_answer_for_is_refused_before_a_gpu_is_taken(
    fields: dict[str, Any], said: str
) -> None:
    arms = [{**EVAL_SPEC["arms"][0], **fields}, EVAL_SPEC["arms"][1]]
    _, made = step(observed("EvalRun", {"arms": arms}))
    assert not launches(made)
    assert made.status is not None and made.status.failure is not None
    assert made.status.failure.message.startswith(f"spec.arms[0].{said}")


def test_several_gpus_go_to_vllm_and_a_served_arm_takes_none() -> None:
    served = {"name": "served", "model": {"name": "ours"}, "engine": "openai", "endpointUrl": "http://vllm:8000/v1"}
    arms = [{**EVAL_SPEC["arms"][0], "gpusPerShard": 8, "engine": "vllm"}, EVAL_SPEC["arms"][1], served]
    seen, _ = step(observed("EvalRun", {"arms": arms}))
    _, made = step(complete(seen))
    assert [(one.device, one.gpus, one.vllm) for one in launches(made)] == [
        ("cuda", 8, True), ("cpu", 0, False), ("cpu", 0, False),
    ]  # fmt: skip
    assert [one.name for one in launches(made)[2].inputs] == ["select"], "nothing is resolved of a served model"
    assert (
        pod_template(launches(made)[0], WorkerSettings("file:///a", "https://s", image_vllm="v"))["spec"]["containers"][
            0
        ]["image"]
        == "v"
    )


def test_more_gpus_do_not_make_another_answer() -> None:
    seen = finished(observed("EvalRun"), summary=SCORED)
    arms = [{**arm, "gpusPerShard": 1} for arm in EVAL_SPEC["arms"]]
    assert plan(edited(seen, arms=arms), NOW).actions == ()


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        (SCORED["gates"], ("True", "AllPassed")),
        ([{**SCORED["gates"][0], "passed": False}], ("False", "GateFailed")),
        ([{**SCORED["gates"][0], "value": None, "passed": False}], ("False", "GateFailed")),
    ],
    ids=["kept", "broken", "no figure"],
)
def test_gates_decide_their_condition_and_not_the_run(gates: Any, expected: tuple[str, str]) -> None:
    seen = finished(observed("EvalRun"), summary={**SCORED, "gates": gates})
    status = seen.run.status
    assert isinstance(status, EvalRunStatus)
    assert status.state == "Succeeded"
    assert condition(status, "GatesPassed") == expected
    assert status.score == "base 25% finetuned 25%"
    assert [arm.unparseable for arm in status.arms] == [2, 2]
    assert status.comparisons[0].delta == 3.0
    assert status.report is not None


@pytest.mark.parametrize(
    ("gate", "value", "words"),
    [
        ({"min": 0.05}, 0.0, "format-compliance of finetuned versus base is 0, below 0.05"),
        ({"max": 0.5}, 0.71234567, "format-compliance of finetuned versus base is 0.7123, above 0.5"),
        ({"min": 0.05}, None, "format-compliance of finetuned versus base could not be computed"),
    ],
)
def test_a_broken_gate_names_figure_and_bound(gate: dict[str, float], value: float | None, words: str) -> None:
    asked = {"metric": "format-compliance", "arm": "finetuned", "versus": "base"}
    summary = {**SCORED, "gates": [{**asked, "value": value, "passed": False}]}
    seen = finished(observed("EvalRun", {"gates": [{**asked, **gate}]}), summary=summary)
    assert next(one.message for one in seen.run.status.conditions if one.type == "GatesPassed") == words


def test_progress_of_arms_side_by_side_never_shrinks_when_one_ends() -> None:
    seen, _ = step(observed("EvalRun"))
    seen, _ = step(complete(seen))
    seen, _ = step(replace(seen, reports=arm_reports(seen, done=3, total=4)))
    assert seen.run.status.progress is not None
    assert seen.run.status.progress.summary == "infer 12/16"
    first = complete(replace(seen, children=seen.children[:2]), counts={"answer/ok": 4})
    seen, _ = step(replace(first, children=(*first.children, seen.children[2])))
    assert [stage.state for stage in seen.run.status.stages[1:3]] == ["Succeeded", "Running"]
    assert seen.run.status.progress is not None
    assert seen.run.status.progress.summary == "infer 14/16"


def arm_reports(seen: Observed, done: int, total: int) -> tuple[Report, ...]:
    """A report of every inference shard."""
    children = {child.uid: child for child in seen.children if child.stage == "infer"}
    return tuple(
        Report(
            StageReport(stage="infer", arm=children[pod.owner_uid].arm, shard=pod.index, done=done, total=total),
            NOW, 0, NOW, pod.name,
        )
        for pod in seen.pods if pod.owner_uid in children
    )  # fmt: skip


def test_an_arm_tells_while_it_runs_what_failed_and_what_cannot_be_read() -> None:
    seen, _ = step(observed("EvalRun"))
    seen, _ = step(complete(seen))
    reports = arm_reports(seen, done=3, total=4)
    told = {"answer/ok": 2.0, "answer/failed/PhotoUnreadable": 1.0, "text/unparseable": 1.0}
    seen, _ = step(replace(seen, reports=tuple(
        replace(one, body=one.body.replace(failed=1, counts=told)) for one in reports
    )))  # fmt: skip
    status = seen.run.status
    assert isinstance(status, EvalRunStatus)
    assert [(arm.name, arm.done, arm.failed, arm.unparseable) for arm in status.arms] == [
        ("base", 6, 2, 2), ("finetuned", 6, 2, 2),
    ]  # fmt: skip
    assert status.shards is not None and (status.shards.done, status.shards.total) == (0, 4)
    seen, _ = step(complete(seen, counts={"answer/ok": 4, "text/unparseable": 1}))
    status = seen.run.status
    assert isinstance(status, EvalRunStatus)
    assert [(arm.done, arm.unparseable) for arm in status.arms] == [(8, 2), (8, 2)]


def test_an_arm_tells_its_shards_and_the_time_in_which_they_are_through_together() -> None:
    """A slow shard is helped: of 8 answers 5 are left, and together they made three in a minute."""
    seen, _ = step(observed("EvalRun"))
    seen, _ = step(complete(seen))
    done, began = {0: 3, 1: 0}, NOW - timedelta(seconds=60)
    reports = tuple(
        replace(one, body=one.body.replace(done=done[one.body.shard]), first_at=began)
        for one in arm_reports(seen, done=0, total=4)
    )
    seen, _ = step(replace(seen, reports=reports))
    status = seen.run.status
    assert isinstance(status, EvalRunStatus)
    assert [(arm.total, arm.eta) for arm in status.arms] == [(8, "1m40s")] * 2
    assert status.progress is not None and status.progress.eta == "1m40s"
    tuned = [child.uid for child in seen.children if child.arm == "finetuned"]
    pods = tuple(
        replace(pod, phase="Succeeded", termination_message=said(counts={"answer/ok": 3}))
        if pod.owner_uid in tuned and pod.index == 0
        else pod
        for pod in seen.pods
    )
    seen, _ = step(replace(seen, pods=pods))
    status = seen.run.status
    assert isinstance(status, EvalRunStatus)
    counted = [(arm.shards.done, arm.shards.total, arm.shards.failed) for arm in status.arms if arm.shards]
    assert counted == [(0, 2, 0), (1, 2, 0)]
    seen = finished(observed("EvalRun"), summary=SCORED)
    status = seen.run.status
    assert isinstance(status, EvalRunStatus)
    assert [(arm.shards.done, arm.eta) for arm in status.arms if arm.shards] == [(2, None)] * 2


def test_before_the_score_gates_are_unknown() -> None:
    made = plan(observed("EvalRun"), NOW)
    assert condition(made.status, "GatesPassed") == ("Unknown", "NotScored")


def test_a_metric_that_cannot_fail_fails_the_run() -> None:
    broken = [{"name": "shuffled pictures", "passed": False, "message": "the score did not drop"}]
    seen = finished(observed("EvalRun"), summary={**SCORED, "selfTests": broken})
    assert seen.run.status.reason == "SelfTestFailed"
    assert seen.run.status.failure is not None
    assert "did not drop" in seen.run.status.failure.message


def test_an_arm_waits_for_the_run_that_tunes_its_adapter() -> None:
    waiting = {("FineTuneRun", "tune"): reference("FineTuneRun", "Running", digest=None)}
    made = plan(observed("EvalRun", references=waiting), NOW)
    assert made.status is not None
    assert made.status.reason == "WaitingForAdapter"
    assert made.actions == ()


def test_the_digest_of_the_adapter_is_recorded() -> None:
    seen, _ = step(observed("EvalRun"))
    (entry,) = [one for one in seen.run.status.lineage if one.name.startswith("adapter/")]
    assert (entry.name, entry.digest, entry.run) == ("adapter/finetuned", DIGEST, "FineTuneRun/tune")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"baseline": "gold"}, "spec.baseline: there is no arm gold"),
        ({"gates": [{"metric": "words", "arm": "gold", "min": 1}]}, "spec.gates[0].arm: there is no arm gold"),
        ({"arms": [EVAL_SPEC["arms"][0]] * 2, "gates": []}, "two arms have the same name"),
    ],
)
def test_names_of_arms_are_checked(spec: dict[str, Any], words: str) -> None:
    made = plan(observed("EvalRun", spec), NOW)
    assert made.status is not None
    assert made.status.failure is not None
    assert words in made.status.failure.message


def test_shards_are_counted_by_arm() -> None:
    seen, _ = step(observed("EvalRun"))
    seen, _ = step(complete(seen))
    done = complete(replace(seen, children=seen.children[:2]))
    made = plan(replace(done, children=(*done.children, seen.children[2])), NOW)
    assert isinstance(made.status, EvalRunStatus)
    assert made.status.shards is not None
    assert (made.status.shards.done, made.status.shards.total) == (2, 4)
