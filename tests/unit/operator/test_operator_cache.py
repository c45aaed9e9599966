"""The cache takes news in any order; the queue never works twice at one key; patches hold only what differs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.patience import SECONDS

from fabula_kube.work_queue import Urgency, WorkQueue
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.merge_patch import merge_patch
from fabula_operator.kube.resources import Obj
from fabula_operator.kube.sight import see
from fabula_operator.plan.seen.observed import Environment

KEY = Key("DatasetBuild", "team", "data")
JSON = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)


def obj(kind: str, name: str, version: int, uid: str | None = None, **more: Any) -> Obj:
    meta = {"name": name, "namespace": "team", "uid": uid or f"u-{name}", "resourceVersion": str(version)}
    return {"kind": kind, "metadata": {**meta, **more.pop("metadata", {})}, **more}


def owned(kind: str, name: str, version: int, owner: str = "u-data", **more: Any) -> Obj:
    metadata = {
        "labels": {"fabula.dev/run-uid": "u-data"},
        "ownerReferences": [{"kind": "Job", "uid": owner, "controller": True}],
    }
    return obj(kind, name, version, metadata=metadata, **more)


def children(cache: Cache) -> list[str]:
    seen = see(cache, KEY, Environment("file:///a"), (), None)
    assert seen is not None
    return [one.name for one in seen.children]


def test_older_news_do_not_replace_newer() -> None:
    cache = Cache()
    assert cache.put(obj("DatasetBuild", "data", 5, spec={"new": True})) == {KEY}
    assert cache.put(obj("DatasetBuild", "data", 4, spec={"new": False})) == set()
    assert cache.get(KEY)["spec"] == {"new": True}  # type: ignore[index]


def test_what_was_deleted_does_not_come_back_by_a_late_event() -> None:
    cache = Cache()
    run = obj("DatasetBuild", "data", 5)
    cache.put(run)
    cache.drop(run)
    assert cache.put(obj("DatasetBuild", "data", 6)) == set()
    assert cache.get(KEY) is None
    assert cache.put(obj("DatasetBuild", "data", 9, uid="another")) == {KEY}


def test_a_child_that_arrives_before_its_run_is_there_once_the_run_is() -> None:
    cache = Cache()
    assert cache.put(owned("Job", "job", 3)) == set()
    cache.put(obj("DatasetBuild", "data", 1))
    assert children(cache) == ["job"]


def test_a_forged_label_makes_nobody_a_child() -> None:
    cache = Cache()
    cache.put(obj("DatasetBuild", "data", 1))
    cache.put(owned("Job", "forged", 3, owner="someone-else"))
    assert children(cache) == []


def test_a_live_list_heals_a_lost_deletion() -> None:
    cache = Cache()
    cache.put(obj("DatasetBuild", "data", 1))
    cache.put(owned("Job", "gone", 3))
    cache.sync(cache.owned("u-data"), [owned("Job", "there", 4)])
    assert children(cache) == ["there"]


def test_news_of_a_run_reach_those_that_wait_for_it() -> None:
    cache = Cache()
    cache.put(obj("FineTuneRun", "tune", 1, spec={"dataset": {"ref": "data"}}))
    tune = Key("FineTuneRun", "team", "tune")
    assert cache.put(obj("DatasetBuild", "data", 2)) == {KEY, tune}
    assert cache.drop(obj("DatasetBuild", "data", 2)) == {KEY, tune}
    cache.put(obj("FineTuneRun", "tune", 3, spec={"dataset": {"uri": "x"}}))
    assert cache.put(obj("DatasetBuild", "data", 7, uid="n")) == {KEY}


@given(old=st.dictionaries(st.sampled_from("abcd"), JSON), new=st.dictionaries(st.sampled_from("abcd"), JSON))
def test_a_merge_patch_makes_one_object_of_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    def apply(target: Any, patch: Any) -> Any:
        if not isinstance(patch, dict):
            return patch
        made = dict(target) if isinstance(target, dict) else {}
        for key, value in patch.items():
            if value is None:
                made.pop(key, None)
            else:
                made[key] = apply(made.get(key), value)
        return made

    patch = merge_patch(old, new)
    assert apply(old, patch) == new
    if old == new:
        assert patch == {}


async def test_a_key_is_at_work_once_and_looked_at_again_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert await queue.get() == "a"
    queue.add("a")
    assert len(queue) == 1
    queue.done("a")
    assert [await queue.get(), await queue.get()] == ["b", "a"]
    assert not queue.idle
    queue.done("a")
    queue.done("b")
    assert queue.idle


async def test_of_several_delays_the_earliest_counts() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 30)
    queue.add_after("a", 0.01)
    queue.add_after("a", 60)
    assert await asyncio.wait_for(queue.get(), SECONDS) == "a"
    queue.done("a")
    queue.add_after("b", 30)
    queue.close()


def test_a_model_that_was_tuned_in_full_is_what_a_run_refers_to() -> None:
    cache = Cache()
    made = {"uri": "file:///a/model", "digest": "sha256:" + "1" * 64}
    cache.put(obj("FineTuneRun", "tune", 2, spec={}, status={"state": "Succeeded", "model": made}))
    arms = [{"name": "tuned", "adapter": {"ref": "tune"}}]
    cache.put(obj("EvalRun", "score", 3, spec={"arms": arms}))
    seen = see(cache, Key("EvalRun", "team", "score"), Environment("file:///a"), (), None)
    assert seen is not None
    reference = seen.references["FineTuneRun", "tune"]
    assert (reference.uri, reference.digest, reference.ready) == (made["uri"], made["digest"], True)


async def test_what_has_changed_comes_before_what_is_only_looked_at_again() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in "abc":
        queue.add(key, Urgency.RESYNCED)
    queue.add("new")
    queue.add("c")
    queue.add("new", Urgency.RESYNCED)
    taken = []
    while len(queue):
        taken.append(await queue.get())
    assert taken == ["new", "c", "a", "b"]
    queue.add("a", Urgency.RESYNCED)
    queue.add("a", Urgency.CHANGED)
    queue.add("b", Urgency.RESYNCED)
    queue.done("b")
    queue.done("a")
    assert [await queue.get(), await queue.get()] == ["a", "b"]


async def test_what_somebody_asks_waits_for_no_other_to_say_how_it_is() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for number in range(10_000):
        queue.add(f"late {number}", Urgency.NOTED)
    queue.add("resynced", Urgency.RESYNCED)
    queue.add("changed")
    queue.add("new", Urgency.ASKED)
    queue.add("late 7", Urgency.CHANGED)
    assert [await queue.get() for _ in range(4)] == ["new", "changed", "late 7", "late 0"]


@pytest.mark.parametrize("urgency", [Urgency.CHANGED, Urgency.NOTED, Urgency.RESYNCED])
async def test_a_burst_that_does_not_end_keeps_nothing_out_for_ever(urgency: Urgency) -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("quiet", urgency)
    for number in range(1000):
        queue.add(f"new {number}", Urgency.ASKED)
        queue.add(f"changed {number}")
        if await queue.get() == "quiet":
            break
    else:
        raise AssertionError("it was never looked at")


async def test_a_look_says_anew_what_is_waited_for() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.look_again("a", 0.01, Urgency.NOTED)
    queue.look_again("a", None, Urgency.NOTED)
    queue.look_again("b", 1000)
    queue.look_again("b", 0.01)
    queue.look_again("c", 1000, Urgency.NOTED)
    assert await asyncio.wait_for(queue.get(), SECONDS) == "b"
    assert not len(queue), "the one that was taken back was due first"
    queue.close()


def test_a_run_without_an_answer_to_its_spec_is_asked_for() -> None:
    cache = Cache()
    assert cache.urgency(KEY) is Urgency.RESYNCED, "nobody waits for what is not there"
    cache.put(obj("DatasetBuild", "data", 1))
    assert cache.urgency(KEY) is Urgency.ASKED
    answered = {"observedGeneration": 1, "state": "Running"}
    cache.put(obj("DatasetBuild", "data", 2, metadata={"generation": 1}, status=answered))
    assert cache.urgency(KEY) is Urgency.RESYNCED
    cache.put(obj("DatasetBuild", "data", 3, metadata={"generation": 2}, status=answered))
    assert cache.urgency(KEY) is Urgency.ASKED


def test_the_echo_of_what_is_known_is_no_news_and_what_was_made_again_is() -> None:
    cache = Cache()
    assert cache.put(obj("DatasetBuild", "data", 5)) == {KEY}
    assert cache.put(obj("DatasetBuild", "data", 5)) == set()
    assert cache.put(obj("DatasetBuild", "data", 3, uid="another")) == {KEY}


def test_of_a_child_is_kept_what_a_look_asks_and_not_what_its_pods_are_made_of() -> None:
    cache = Cache()
    cache.put(obj("DatasetBuild", "data", 1, metadata={"managedFields": [{"manager": "x"}]}))
    template = {"spec": {"containers": [{"env": ["x" * 5000]}]}}
    cache.put(owned("Job", "job", 3, spec={"completions": 4, "suspend": True, "template": template}))
    cache.put(owned("Pod", "pod", 4, spec=template["spec"], status={"phase": "Running"}))
    assert "x" * 5000 not in repr(cache.owned("u-data"))
    assert "managedFields" not in (cache.get(KEY) or {})["metadata"]
    seen = see(cache, KEY, Environment("file:///a"), (), None)
    assert seen is not None
    assert [(one.size, one.suspended) for one in seen.children] == [(4, True)]


def test_news_of_a_status_leave_the_spec_as_it_was_read_and_an_edit_does_not() -> None:
    cache = Cache()
    key = Key("DatasetBuild", "team", "data")

    def put(version: int, generation: int, spec: Any, uid: str = "u-data") -> Any:
        one = obj("DatasetBuild", "data", version, uid, spec=spec)
        one["metadata"]["generation"] = generation
        cache.put(one)
        found = cache.get(key)
        assert found is not None
        return found["spec"]

    first = put(1, 1, {"seed": 1})
    assert put(2, 1, {"seed": 1}) is first
    edited = put(3, 2, {"seed": True})
    assert edited["seed"] is True, "to Python 1 is True"
    assert put(4, 3, {"seed": 2}) == {"seed": 2}
    assert put(5, 3, {"seed": 2}, "u-again") is not None
