"""Whatever sequence of suspensions, edits, preemptions and crashes: a run ends where an undisturbed one ends.

The plan is driven through a world of values by Hypothesis. What it promises on the way: attempts never overlap, their
numbers rise one by one, the right budget pays, no GPU hour is wasted that was not used.
"""

from __future__ import annotations

from functools import cache, partial
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.examples import examples
from tests.support.observations import failed_saying
from tests.support.plan_world import PlanWorld

from fabula_operator.plan.times import parse_time

RATES = (4e-6, 1e-5)
NEUTRAL: tuple[dict[str, Any], ...] = (
    {"checkpoints": {"everySteps": 1}},
    {"checkpoints": {"everySteps": 5, "keep": 1}},
    {"retries": {"infrastructure": 500, "failure": 90}},
    {"scheduling": {"priorityClassName": "high"}},
    {"deadline": "900h"},
)
PICK = st.integers(0, 3)


@cache
def expected_digest(rate: float) -> str | None:
    """The adapter of a run in peace."""
    world = PlanWorld()
    world.edit(training={"learningRate": rate})
    settle(world)
    return world.status.adapter.digest if world.status.adapter else None


def settle(world: PlanWorld) -> None:
    """Nothing disturbs it any more: the run must end well."""
    for pod in world.seen.pods:
        if pod.uid in world.lost:
            world.forget_pod(pod)
    for _ in range(200):
        world.look()
        if world.finished:
            break
        world.admit()
        world.move()
        world.work(4)
        world.pass_time(6)
    assert world.status.state == "Succeeded", (world.status.state, world.status.reason, world.status.attempts)


class Training(RuleBasedStateMachine):
    """One FineTuneRun of two nodes, disturbed."""

    world: PlanWorld
    rate: float

    @initialize(queue=st.sampled_from([None, None, "team"]))
    def begin(self, queue: str | None) -> None:
        self.world, self.rate = PlanWorld(), RATES[0]
        if queue is not None:
            self.world.edit(queue=queue)
        self.calm()

    @rule()
    def calm(self) -> None:
        """Some rounds in which all goes well, or a machine would seldom get anywhere."""
        for _ in range(3):
            self.world.look()
            self.world.admit()
            self.world.move()
            self.world.work(1)

    @rule(writes=st.sampled_from([None, None, 0, 1, 2]))
    def look(self, writes: int | None) -> None:
        """The operator looks; it may die after some writes."""
        self.world.look(writes=writes)

    @rule(
        what=st.sampled_from(["crash", "preempt", "delete pod", "delete child", "suspend", "move", "work"]), pick=PICK
    )
    def look_at_what_has_changed_since(self, what: str, pick: int) -> None:
        """Between reading and writing, something else happens."""
        happenings = {
            "crash": partial(self.crash, pick),
            "preempt": partial(self.preempt, pick),
            "delete pod": partial(self.delete_pod, pick),
            "delete child": self.delete_child,
            "suspend": self.suspend,
            "move": self.move,
            "work": partial(self.work, 2, True),
        }
        self.world.look(meanwhile=happenings[what])

    @rule()
    def move(self) -> None:
        """Controllers and kubelets do their next step."""
        self.world.move()

    @rule(steps=st.integers(0, 4), heard=st.booleans())
    def work(self, steps: int, heard: bool) -> None:
        """The ranks train; their report may be lost."""
        self.world.work(steps, heard=heard)

    @rule(minutes=st.sampled_from([0.1, 1, 30]))
    def time_passes(self, minutes: float) -> None:
        self.world.pass_time(minutes)

    @rule()
    def suspend(self) -> None:
        self.world.charge("nobody")
        self.world.edit(suspend=True)

    @rule()
    def resume(self) -> None:
        self.world.edit(suspend=False)

    @rule(change=st.sampled_from(NEUTRAL))
    def edit_what_decides_nothing(self, change: dict[str, Any]) -> None:
        self.world.edit(**change)

    @rule(rate=st.sampled_from(RATES))
    def edit_what_decides_the_adapter(self, rate: float) -> None:
        self.world.charge("nobody")
        self.rate = rate
        self.world.edit(training={"learningRate": rate})

    @rule(pick=PICK)
    def preempt(self, pick: int) -> None:
        if alive := self.world.alive():
            self.world.charge("infrastructure")
            self.world.change_pod(alive[pick % len(alive)], deleting=True, disrupted="PreemptionByScheduler")

    @rule(pick=PICK)
    def delete_pod(self, pick: int) -> None:
        if alive := self.world.alive():
            self.world.charge("infrastructure")
            self.world.change_pod(alive[pick % len(alive)], deleting=True)

    @rule(pick=PICK)
    def lose_a_node(self, pick: int) -> None:
        """Its pod is being deleted for as long as nobody says that the node is off."""
        if alive := self.world.alive():
            pod = alive[pick % len(alive)]
            self.world.charge("infrastructure")
            self.world.lost.add(pod.uid)
            self.world.change_pod(pod, deleting=True, disrupted="DeletionByTaintManager")

    @rule()
    def give_up_lost_nodes(self) -> None:
        for pod in self.world.seen.pods:
            if pod.uid in self.world.lost:
                self.world.forget_pod(pod)

    @rule(pick=PICK)
    def crash(self, pick: int) -> None:
        self.world.charge("failure")
        self.world.fail(pick, exit_code=1, termination_message=failed_saying("RuntimeError"))

    @rule(pick=PICK)
    def run_out_of_memory(self, pick: int) -> None:
        self.world.charge("failure")
        self.world.fail(pick, exit_code=137, ended_reason="OOMKilled")

    @rule(pick=PICK)
    def lose_the_store(self, pick: int) -> None:
        self.world.charge("infrastructure")
        self.world.fail(pick, exit_code=75, termination_message=failed_saying("StoreUnavailable"))

    @rule()
    def delete_child(self) -> None:
        if (child := self.world.current()) is not None:
            self.world.charge("infrastructure")
            self.world.delete_child(child.uid)

    @rule()
    def evict_from_the_queue(self) -> None:
        self.world.evict()

    @rule()
    def restart_the_operator(self) -> None:
        self.world.restart_operator()

    @invariant()
    def attempts_never_overlap(self) -> None:
        assert self.world.overlaps == []
        attempts = self.world.status.attempts
        for former, after in pairwise(attempts):
            assert after.number == former.number + 1
            assert former.state not in ("Pending", "Running"), attempts
            end, start = parse_time(former.finished_at), parse_time(after.started_at)
            assert end is not None
            assert start is None or end <= start, attempts

    @invariant()
    def the_right_budget_pays(self) -> None:
        for one in self.world.status.attempts:
            if one.state in ("Failed", "Suspended"):
                assert (one.budget or "nobody") in self.world.hits[one.number], (one, dict(self.world.hits))

    @invariant()
    def no_hour_is_wasted_that_was_not_used(self) -> None:
        hours = self.world.status.gpu_hours
        assert hours is None or hours.used >= hours.wasted >= 0

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.edit(suspend=False)
        settle(self.world)
        assert self.world.status.adapter is not None
        assert self.world.status.adapter.digest == expected_digest(self.rate)
        self.attempts_never_overlap()
        self.the_right_budget_pays()


Training.TestCase.settings = settings(
    max_examples=examples(16),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestTraining = Training.TestCase
