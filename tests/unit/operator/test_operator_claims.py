"""No two runs make one artifact at once: who is at work is known from statuses, and the other one waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.observations import NOW, condition, edited, launches, observed, step

from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.resources import Obj
from fabula_operator.kube.sight import see
from fabula_operator.plan.groups.restarts import TWIN_SECONDS
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Environment, Observed

OWN = "team/tune"


def run(name: str, version: int, state: str | None = None, *, namespace: str = "team", **spec: Any) -> Obj:
    """A FineTuneRun whose status names the stage's key, with an attempt in that state."""
    attempts = [{"number": 1, "state": state}] if state else []
    return {
        "kind": "FineTuneRun",
        "metadata": {"name": name, "namespace": namespace, "uid": f"u-{name}", "resourceVersion": str(version)},
        "spec": spec,
        "status": {"stages": [{"name": "train", "key": "sha256:k"}], "attempts": attempts},
    }


def twin_of(cache: Cache, name: str) -> str | None:
    seen = see(cache, Key("FineTuneRun", "team", name), Environment("file:///a"), (), None)
    assert seen is not None
    return seen.twin("sha256:k")


def test_a_run_is_seen_at_work_by_those_that_make_the_same_until_its_attempt_is_over() -> None:
    cache = Cache()
    cache.put(run("b", 1))
    for version, (state, twin) in enumerate(
        [(None, None), ("Pending", "team/a"), ("Running", "team/a"), ("Succeeded", None)], start=2
    ):
        cache.put(run("a", version, state))
        assert (twin_of(cache, "a"), twin_of(cache, "b")) == (None, twin)


def test_the_claim_of_a_deleted_run_goes_with_it() -> None:
    cache = Cache()
    cache.put(run("b", 1))
    cache.put(claiming := run("a", 2, "Running"))
    cache.drop(claiming)
    assert twin_of(cache, "b") is None


@pytest.mark.parametrize(
    ("situation", "other", "twin"),
    [
        ("in another namespace", {"namespace": "there"}, None),
        ("with another output.uri", {"output": {"uri": "s3://b/x"}}, None),
        ("in the same place", {}, "team/a"),
        ("in the same place by another name", {"output": {"uri": "file:///a//team/"}}, "team/a"),
        ("in a place that is none", {"output": {"uri": "../team"}}, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_only_what_has_the_same_folder_is_the_same_work(situation: str, other: dict[str, Any], twin: str) -> None:
    cache = Cache()
    cache.put(run("b", 1))
    cache.put(run("a", 2, "Running", **other))
    assert twin_of(cache, "b") == twin


def test_a_run_that_was_refused_at_work_claims_nothing_any_more() -> None:
    cache = Cache()
    cache.put(run("b", 1))
    refused = run("a", 2, "Running")
    refused["status"] |= {"state": "Failed", "finishedAt": "2026-03-01T12:00:00Z"}
    cache.put(refused)
    assert twin_of(cache, "b") is None


def key_of(seen: Observed) -> str:
    (launch,) = launches(plan(seen, NOW))
    return launch.key


def claimed(seen: Observed, *runs: str) -> Observed:
    """Others are at work on what this run makes."""
    return replace(seen, claims={key_of(observed("FineTuneRun")): runs})


def test_a_run_waits_for_another_that_makes_the_same_and_then_starts() -> None:
    seen, made = step(claimed(observed("FineTuneRun"), "team/twin"))
    assert launches(made) == []
    assert condition(made.status, "Running") == ("False", "WaitingForSameWork")
    assert made.requeue_after == TWIN_SECONDS
    assert getattr(made.status, "attempts", None) == [], "an open attempt would be a claim"
    _, made = step(replace(seen, claims={}))
    assert [launch.attempt for launch in launches(made)] == [1]


def test_its_own_claim_and_those_on_other_work_do_not_keep_a_run() -> None:
    assert launches(plan(claimed(observed("FineTuneRun"), OWN), NOW))
    assert launches(plan(replace(observed("FineTuneRun"), claims={"sha256:other": ["team/twin"]}), NOW))


def test_a_run_at_work_goes_on_whatever_others_claim() -> None:
    seen, _ = step(observed("FineTuneRun"))
    seen, made = step(claimed(seen, OWN, "team/twin"))
    assert condition(made.status, "Running")[0] == "True"
    assert made.actions == ()


def test_a_suspended_run_claims_nothing() -> None:
    seen = edited(observed("FineTuneRun"), suspend=True)
    _, made = step(seen)
    assert getattr(made.status, "attempts", None) == []
