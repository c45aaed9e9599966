"""A run that waits says for what: pods that are never made, pods that never start, and silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.observations import NOW, condition, observed, reported, step, with_child, with_pod, written

from fabula_api.base import camel
from fabula_api.eval_run import EvalRunSpec
from fabula_api.externals import externals
from fabula_api.fields import fields_named
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.recipes import API_KINDS, Kind
from fabula_api.specs import kind_of
from fabula_operator.plan.actions import Plan
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.api_objects import Pod
from fabula_operator.plan.seen.observed import Observed, Said
from fabula_operator.plan.stages.references import named_runs

MINUTE = timedelta(minutes=1)
QUOTA = Said(
    "FailedCreate", 'Error creating: pods "data-ingest-0-x7k2p" is forbidden: exceeded quota: few', NOW + MINUTE
)
MOUNT = Said("FailedMount", 'MountVolume.SetUp failed for volume "fabula" : configmap "gone" not found', NOW)


def unmade(kind: Any = "DatasetBuild", **spec: Any) -> Observed:
    """A run whose child has no pod."""
    seen, _ = step(observed(kind, spec))
    return replace(seen, pods=())


def creating(kind: Any = "DatasetBuild") -> Observed:
    """A run whose pod has a node and does not start."""
    seen, _ = step(observed(kind))
    return with_pod(seen, phase="Pending", created_at=NOW, scheduled_at=NOW)


def said(seen: Observed, of: str, what: Said | None) -> Observed:
    return replace(seen, warnings={of: what})


def shown(made: Plan) -> tuple[str | None, str | None]:
    assert made.status is not None
    return made.status.state, made.status.reason


def message(made: Plan) -> str:
    assert made.status is not None
    return next(one.message for one in made.status.conditions if one.type == "Running")


def test_a_child_without_pods_is_not_asked_about_for_a_minute() -> None:
    made = plan(unmade(), NOW + MINUTE / 2)
    assert (shown(made)[0], made.unexplained, made.retell_after) == ("Running", (), 30)


def test_then_its_events_are_asked_for_and_its_newest_warning_is_the_runs_word() -> None:
    seen = unmade()
    child = seen.children[0]
    asking = plan(seen, NOW + MINUTE)
    assert [(one.kind, one.uid) for one in asking.unexplained] == [("Job", child.uid)]
    name = f'"{child.name}-0-x7k2p"'
    words = replace(QUOTA, message=QUOTA.message.replace('"data-ingest-0-x7k2p"', name))
    made = plan(said(seen, child.uid, words), NOW + MINUTE)
    assert shown(made) == ("Pending", "FailedCreate")
    assert "is forbidden: exceeded quota: few" in message(made)
    assert "x7k2p" not in message(made), "each try has another name, and none may be news"
    assert made.status is not None and made.status.progress is not None
    assert made.status.progress.summary == "FailedCreate"
    assert [one.uid for one in made.unexplained] == [child.uid]
    assert made.retell_after == 14 * 60, "what its events say from now on brings a look, and time only the stall"


def test_a_child_of_which_no_event_tells_says_that() -> None:
    seen = unmade()
    made = plan(said(seen, seen.children[0].uid, None), NOW + MINUTE)
    assert shown(made) == ("Pending", "NoPods")


def test_a_child_that_is_held_or_between_two_tries_is_not_late() -> None:
    seen = unmade()
    assert plan(with_child(seen, suspended=True), NOW + 5 * MINUTE).unexplained == ()
    failed = Pod("p", "u", seen.children[0].uid, "Failed", 0, exit_code=75, finished_at=NOW + MINUTE)
    seen = with_child(replace(seen, pods=(failed,)), retried=1)
    # It was said before the last pod ended, so it is not why there is none.
    old = said(seen, seen.children[0].uid, replace(QUOTA, at=NOW))
    assert shown(plan(old, NOW + 3 * MINUTE)) == ("Running", "Retrying")
    new = said(seen, seen.children[0].uid, replace(QUOTA, at=NOW + 2 * MINUTE))
    assert shown(plan(new, NOW + 3 * MINUTE)) == ("Pending", "FailedCreate")


@pytest.mark.parametrize("crd", [True, False])
def test_a_group_of_which_one_rank_is_missing_waits_for_it(crd: bool) -> None:
    backend = "PyTorchJob" if crd else "Job"
    seen = observed("FineTuneRun", {"backend": backend, "topology": {"nodes": 2, "gpusPerNode": 8}})
    seen, _ = step(replace(seen, environment=replace(seen.environment, pytorch_jobs=crd)))
    one = replace(seen, pods=seen.pods[:1])
    made = plan(said(one, seen.children[0].uid, QUOTA), NOW + MINUTE)
    assert shown(made) == ("Pending", "FailedCreate")
    # Once the ranks have met, whatever a rank lacks is not this.
    assert shown(plan(reported(one, 1, done=3), NOW + MINUTE))[0] == "Running"


def test_a_group_of_which_one_rank_has_no_place_says_so_though_the_other_runs() -> None:
    seen, _ = step(observed("FineTuneRun", {"backend": "PyTorchJob", "topology": {"nodes": 2, "gpusPerNode": 8}}))
    seen = with_pod(seen, phase="Pending", waiting="Unschedulable", waiting_message="0/3 nodes are available")
    assert shown(plan(seen, NOW)) == ("Pending", "Unschedulable")


def test_one_shard_of_several_that_waits_is_not_the_whole_run() -> None:
    seen, _ = step(observed("DatasetBuild"))
    seen = replace(seen, children=(replace(seen.children[0], size=2),))
    other = replace(seen.pods[0], name="b", uid="b", index=1, phase="Pending", scheduled_at=NOW)
    assert shown(plan(replace(seen, pods=(*seen.pods, other)), NOW + 5 * MINUTE))[0] == "Running"


def test_a_pod_that_does_not_start_has_a_minute_and_then_its_newest_warning() -> None:
    seen = creating()
    pod = seen.pods[0]
    early = plan(seen, NOW + MINUTE / 4)
    assert (early.unexplained, early.retell_after) == ((), 45)
    assert [one.uid for one in plan(seen, NOW + MINUTE).unexplained] == [pod.uid]
    made = plan(said(seen, pod.uid, MOUNT), NOW + MINUTE)
    assert shown(made) == ("Pending", "FailedMount")
    assert message(made) == f"pod {pod.name}: {MOUNT.message}"
    silent = plan(said(seen, pod.uid, None), NOW + MINUTE)
    assert shown(silent) == ("Pending", "ContainerCreating")
    again = plan(written(said(seen, pod.uid, None), silent), NOW + 2 * MINUTE)
    assert again.status == silent.status, "no write for the time's sake"


@pytest.mark.parametrize("of", ["pods", "child"])
def test_a_long_wait_is_a_stall(of: str) -> None:
    seen = creating() if of == "pods" else unmade()
    uid, word = (seen.pods[0].uid, MOUNT) if of == "pods" else (seen.children[0].uid, QUOTA)
    seen = said(seen, uid, word)
    assert condition(plan(seen, NOW + 14 * MINUTE).status, "Stalled") == ("False", "Progressing")
    assert condition(plan(seen, NOW + 15 * MINUTE).status, "Stalled") == ("True", word.reason)


def test_a_wait_in_a_queue_is_none() -> None:
    seen, _ = step(observed("FineTuneRun", {"queue": "gpus"}))
    late = plan(seen, NOW + 600 * MINUTE)
    assert condition(late.status, "Stalled") == ("False", "Progressing")
    assert late.unexplained == ()


def running(kind: Any = "DatasetBuild", **spec: Any) -> Observed:
    seen, _ = step(observed(kind, spec))
    return with_pod(seen, begun_at=NOW)


def test_progress_without_any_report_does_not_last_for_ever() -> None:
    seen = running()
    early = plan(seen, NOW + 5 * MINUTE)
    assert condition(early.status, "Stalled") == ("False", "Progressing")
    assert early.retell_after == 600
    made = plan(seen, NOW + 15 * MINUTE)
    assert condition(made.status, "Stalled") == ("True", "NoReport")
    assert made.status is not None and made.status.state == "Running"
    assert plan(written(seen, made), NOW + 60 * MINUTE).status == made.status, "no write for the time's sake"


def test_a_report_ends_the_stall_and_silence_after_it_is_another() -> None:
    seen = reported(running(), 16 * 60, done=1)
    assert condition(plan(seen, NOW + 17 * MINUTE).status, "Stalled") == ("False", "Progressing")
    assert condition(plan(seen, NOW + 40 * MINUTE).status, "Stalled") == ("True", "NoReport")


def test_an_operator_that_was_just_started_has_heard_nothing_yet() -> None:
    seen = running()
    seen = replace(seen, environment=replace(seen.environment, listening_since=NOW + 60 * MINUTE))
    assert condition(plan(seen, NOW + 70 * MINUTE).status, "Stalled") == ("False", "Progressing")


def test_of_a_foreign_trainers_silence_nothing_is_known() -> None:
    seen = running("FineTuneRun", template={"image": "x/y", "command": ["train"]})
    assert condition(plan(seen, NOW + 20 * MINUTE).status, "Stalled") == ("Unknown", "NoReport")


def test_an_evaluation_waits_for_the_dataset_that_its_samples_come_from() -> None:
    spec = {"recipe": "audio-description", "samples": {"ref": "films"}, "arms": [{"adapter": {"ref": "narrator"}}]}
    assert named_runs("EvalRun", spec) == {("DatasetBuild", "films"), ("FineTuneRun", "narrator")}


def test_an_evaluation_waits_for_the_dataset_that_its_arms_were_tuned_on() -> None:
    overlap = {"trainingSet": {"ref": "stories"}, "metrics": ["words", "training-overlap"]}
    seen, _ = step(observed("EvalRun", overlap))
    assert named_runs("EvalRun", seen.run.spec) >= {("DatasetBuild", "stories")}
    (wanted,) = [one for one in externals(EvalRunSpec.model_validate(seen.run.spec)) if one.name == "trainingSet"]
    assert (wanted.made_by, wanted.ref) == ("DatasetBuild", "stories")


@pytest.mark.parametrize("kind", API_KINDS)
def test_every_field_that_may_name_a_run_is_among_those_of_its_kind(kind: Kind) -> None:
    fields = {camel(path.removesuffix(".ref")) for path in fields_named(API_KINDS[kind].spec, "ref")}
    assert fields == {one.path for one in API_KINDS[kind].names}


def test_what_a_spec_names_is_what_it_reads_of_other_runs() -> None:
    model = {"name": "m"}
    tuned = FineTuneRunSpec.model_validate({"dataset": {"ref": "stories"}, "model": model})
    measured = EvalRunSpec.model_validate(
        {
            "samples": {"ref": "held-out"},
            "arms": [{"name": "base", "model": model}, {"name": "tuned", "model": model, "adapter": {"ref": "tale"}}],
            "trainingSet": {"ref": "stories"},
            "metrics": ["training-overlap"],
        }
    )
    for spec in (tuned, measured):
        wire = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        read = {(one.made_by, one.ref) for one in externals(spec) if one.ref}
        assert named_runs(kind_of(spec), wire) == read


def test_a_spec_of_any_shape_names_what_can_be_read_of_it() -> None:
    for odd in ([], "x", 3, None, [["x"]], {"ref": 3}, {"ref": ""}):
        assert named_runs("EvalRun", {"arms": odd, "samples": odd, "trainingSet": odd, "recipe": "podcast"}) == set()
    assert named_runs("EvalRun", {"arms": [None, {"adapter": {"ref": "a"}}]}) == {("FineTuneRun", "a")}


def test_a_training_waits_for_what_its_recipe_reads_beside_the_dataset() -> None:
    block = {"pretrained": {"ref": "words"}}
    spec = {"recipe": "audio-description", "dataset": {"ref": "films"}, "audioDescription": block}
    assert named_runs("FineTuneRun", spec) == {("DatasetBuild", "films"), ("FineTuneRun", "words")}
