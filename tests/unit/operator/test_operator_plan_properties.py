"""What holds for every plan, whatever happens: idempotence, one attempt at a time, ends that stay ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.observations import (
    DIGEST,
    NOW,
    child_of,
    edited,
    failed_saying,
    launches,
    observed,
    pod_of,
    reference,
    reported,
    said,
    written,
)

from fabula_api.recipes import Kind
from fabula_operator.plan.actions import DeleteChild, DeleteRun, EnsureChild, SuspendChild
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Observed, read_status

KINDS = st.sampled_from(["DatasetBuild", "FineTuneRun", "EvalRun"])
HAPPENINGS = (
    "pod ends well", "pod crashes", "pod is preempted", "bad input", "retry later", "pod vanishes", "child ends",
    "child vanishes", "report", "suspend", "resume", "edit", "reference comes", "reference goes", "time", "nothing",
)  # fmt: skip
COMMON = settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def happen(seen: Observed, what: str, pick: int, now: datetime) -> Observed:
    """The world after something happened to it; impossible things change nothing."""
    pods, children = list(seen.pods), list(seen.children)
    alive = [index for index, pod in enumerate(pods) if not pod.terminal]
    index = alive[pick % len(alive)] if alive else None
    endings: dict[str, dict[str, Any]] = {
        "pod ends well": {
            "phase": "Succeeded",
            "exit_code": 0,
            "termination_message": said(artifact={"uri": "file:///a", "digest": DIGEST}),
        },
        "pod crashes": {"phase": "Failed", "exit_code": 1},
        "pod is preempted": {"phase": "Failed", "exit_code": 143, "disrupted": "Preempted"},
        "bad input": {"phase": "Failed", "exit_code": 65, "termination_message": failed_saying("InputInvalid")},
        "retry later": {"phase": "Failed", "exit_code": 75},
    }
    if what in endings and index is not None:
        pods[index] = replace(pods[index], finished_at=now, **endings[what])
    elif what == "pod vanishes" and pods:
        pods.pop(pick % len(pods))
    elif what == "child ends" and children:
        position = pick % len(children)
        child = children[position]
        own = [pod for pod in pods if pod.owner_uid == child.uid]
        if not child.terminal and not child.suspended and own and all(pod.terminal for pod in own):
            good = {pod.index for pod in own if pod.phase == "Succeeded"} >= set(range(child.size))
            children[position] = replace(child, complete=good, failed=not good, finished_at=now)
    elif what == "child vanishes" and children:
        gone = children.pop(pick % len(children))
        pods = [pod for pod in pods if pod.owner_uid != gone.uid or pick % 2]
    elif what == "report" and children and pods:
        return reported(seen, 30, done=pick, total=pick + 5)
    elif what == "suspend":
        return edited(seen, suspend=True)
    elif what == "resume":
        return edited(seen, suspend=False)
    elif what == "edit":
        return edited(seen, ttl=f"{pick + 1}h")
    elif what.startswith("reference"):
        kind: Kind
        references = {}
        for kind, name in (("DatasetBuild", "data"), ("FineTuneRun", "tune")):
            references[kind, name] = reference(kind, "Succeeded" if what.endswith("comes") else "Running")
        return replace(seen, references=references)
    return replace(seen, pods=tuple(pods), children=tuple(children))


def carry_out(seen: Observed, now: datetime, *, crash_after: int | None = None) -> Observed:
    """Plan and apply; a crash leaves out all but the first writes."""
    made = plan(seen, now)
    if crash_after == 0:
        return seen
    seen = written(seen, made)
    for action in made.actions[: None if crash_after is None else crash_after - 1]:
        children, pods = list(seen.children), list(seen.pods)
        if isinstance(action, EnsureChild):
            child = child_of(action.launch)
            if child.name in {one.name for one in children}:
                continue
            children.append(child)
            pods += [pod_of(child, index) for index in range(child.size)]
        elif isinstance(action, DeleteChild):
            children = [one for one in children if one.uid != action.child.uid]
            pods = [pod for pod in pods if pod.owner_uid != action.child.uid]
        elif isinstance(action, SuspendChild):
            children = [
                replace(one, suspended=action.suspend) if one.uid == action.child.uid else one for one in children
            ]
            if action.suspend:
                pods = [pod for pod in pods if pod.owner_uid != action.child.uid or pod.terminal]
        seen = replace(seen, children=tuple(children), pods=tuple(pods))
    return seen


STEPS = st.lists(
    st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 9), st.sampled_from([None, None, None, 0, 1, 2])), max_size=25
)


def histories(kind: Kind, steps: list[tuple[str, int, int | None]]) -> list[tuple[Observed, datetime]]:
    """Every state of the world on the way."""
    # Two nodes, so that one rank can die while the other lives.
    spec = {"topology": {"nodes": 2, "gpusPerNode": 2, "device": "cpu"}} if kind == "FineTuneRun" else {}
    seen, now, found = observed(kind, spec), NOW, []
    for what, pick, crash in steps:
        seen = carry_out(seen, now, crash_after=crash)
        found.append((seen, now))
        now += timedelta(minutes=6 if what == "time" else 1)
        seen = happen(seen, what, pick, now)
        found.append((seen, now))
    return found


@COMMON
@given(kind=KINDS, steps=STEPS)
def test_planning_twice_from_the_written_status_changes_nothing_more(kind: Kind, steps: Any) -> None:
    for seen, now in histories(kind, steps):
        first = plan(seen, now)
        second = plan(written(seen, first), now)
        if kind != "FineTuneRun":
            # The operator relies on it: it looks at no such run again for what it wrote itself.
            settled = written(seen, first)
            assert second.status is None or second.status.to_wire() == settled.run.status.to_wire()
        if second.status is not None:
            former = first.status or seen.run.status
            # What follows at once from a status that was just written, such as an attempt recorded as due.
            third = plan(written(written(seen, first), second), now)
            settled = written(written(seen, first), second)
            assert third.status is None or third.status.to_wire() == settled.run.status.to_wire()
            assert second.status.observed_generation == former.observed_generation
        assert {type(one) for one in second.actions} <= {EnsureChild, DeleteChild, SuspendChild, DeleteRun}
        assert second.notices == ()


@COMMON
@given(steps=STEPS)
def test_two_attempts_are_never_alive_at_once(steps: Any) -> None:
    for seen, now in histories("FineTuneRun", steps):
        alive = {pod.owner_uid for pod in seen.pods if not pod.terminal}
        assert len(alive) <= 1
        if launches(plan(seen, now)):
            # A new child is asked for only when no pod of another one is left.
            (launch,) = launches(plan(seen, now))
            assert alive <= {f"uid-{launch.child}"}


@COMMON
@given(kind=KINDS, steps=STEPS)
def test_an_end_stays_until_the_spec_is_edited(kind: Kind, steps: Any) -> None:
    end: tuple[int, str | None, str | None] | None = None
    for seen, _now in histories(kind, steps):
        status, generation = seen.run.status, seen.run.generation
        if end is not None and end[0] == generation:
            assert (status.state, status.finished_at) == end[1:]
        if status.finished_at is not None and status.observed_generation == generation:
            end = (generation, status.state, status.finished_at)


@COMMON
@given(kind=KINDS, steps=STEPS)
def test_a_status_reads_back_as_it_was_written(kind: Kind, steps: Any) -> None:
    for seen, now in histories(kind, steps):
        made = plan(seen, now)
        if made.status is not None:
            wire = made.status.to_wire()
            assert read_status(kind, wire).to_wire() == wire


@COMMON
@given(kind=KINDS, steps=STEPS)
def test_whatever_happened_a_run_left_in_peace_ends(kind: Kind, steps: Any) -> None:
    history = histories(kind, steps)
    seen, now = history[-1] if history else (observed(kind), NOW)
    seen = happen(edited(seen, suspend=False), "reference comes", 0, now)
    for _ in range(60):
        now += timedelta(minutes=10)
        seen = carry_out(seen, now)
        for position in range(len(seen.pods)):
            seen = happen(seen, "pod ends well", position, now)
        # The Job controller makes up for pods that vanished.
        for child in seen.children:
            there = {pod.index for pod in seen.pods if pod.owner_uid == child.uid and pod.phase != "Failed"}
            if not child.terminal and not child.suspended:
                new = [pod_of(child, index) for index in range(child.size) if index not in there]
                seen = replace(seen, pods=(*seen.pods, *new))
        for position in range(len(seen.children)):
            seen = happen(seen, "child ends", position, now)
        if seen.run.status.finished_at is not None and seen.run.status.observed_generation == seen.run.generation:
            return
    raise AssertionError(f"it never ends: {seen.run.status}")
