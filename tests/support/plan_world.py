"""A training operator, a kubelet, ranks and an artifact store as values, for plans of a FineTuneRun: no clock, no I/O.

Pods go through termination before they are gone, a lost node keeps its pod, ranks that are stopped save first, and the
store keeps what was committed. So a test decides what happens between any two looks of the operator.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from tests.support.observations import NOW, child_of, edited, failed_saying, observed, pod_of, said, written

from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_api.worker import PEER_LOST, RESUMED_METRIC, StageReport
from fabula_operator.plan.actions import DeleteChild, EnsureChild, Plan, SuspendChild
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.api_objects import Child, Pod
from fabula_operator.plan.seen.observed import Observed, Report

STEPS = 12
Charge = Literal["infrastructure", "failure", "nobody"]


def digest_of(key: str) -> str:
    """Of the adapter that a stage key makes, whoever makes it and however often it is interrupted."""
    return "sha256:" + key.removeprefix("sha256:")[::-1]


@dataclass
class PlanWorld:
    """One run and everything around it."""

    seen: Observed = field(
        default_factory=lambda: observed(
            "FineTuneRun",
            {
                "backend": "PyTorchJob",
                "topology": {"nodes": 2, "gpusPerNode": 4},
                "checkpoints": {"everySteps": 3},
                "retries": {"infrastructure": 1000, "failure": 100},
                "preflight": {"policy": "off"},
            },
        )
    )
    now: datetime = NOW
    committed: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Steps of committed checkpoints, by stage key."""
    done: set[str] = field(default_factory=set)
    """Keys whose adapter is committed."""
    step: dict[str, int] = field(default_factory=dict)
    """Step that a child's ranks are at, by its uid."""
    resumed: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    """Uids of pods on a node that does not answer."""
    hits: defaultdict[int, set[Charge]] = field(default_factory=lambda: defaultdict(set))
    """What happened to an attempt, by who should pay for it."""
    overlaps: list[str] = field(default_factory=list)
    _serial: Any = field(default_factory=itertools.count)

    @property
    def status(self) -> FineTuneRunStatus:
        status = self.seen.run.status
        assert isinstance(status, FineTuneRunStatus)
        return status

    @property
    def finished(self) -> bool:
        run = self.seen.run
        return run.status.finished_at is not None and run.status.observed_generation == run.generation

    def alive(self) -> list[Pod]:
        return [pod for pod in self.seen.pods if not pod.terminal]

    def current(self) -> Child | None:
        """The child with pods at work, else the newest that is not over."""
        owners = {pod.owner_uid for pod in self.alive()}
        open_ones = [child for child in self.seen.children if child.uid in owners or not child.terminal]
        return max(open_ones, key=lambda child: (child.uid in owners, child.attempt), default=None)

    def charge(self, payer: Charge) -> None:
        """Note that something happened to the attempt at work."""
        if (child := self.current()) is not None:
            self.hits[child.attempt].add(payer)

    # The operator

    def look(self, *, writes: int | None = None, meanwhile: Callable[[], None] | None = None) -> Plan:
        """Plan and carry it out: only the first `writes` of it, and after `meanwhile` has happened to the world."""
        made = plan(self.seen, self.now)
        generation = self.seen.run.generation
        if meanwhile is not None:
            meanwhile()
        if writes == 0 or self.seen.run.generation != generation:
            return made  # a conflict on the status ends the look
        self.seen = written(self.seen, made)
        for action in made.actions[: None if writes is None else writes - 1]:
            if isinstance(action, EnsureChild):
                self._create(child_of(action.launch, created_at=self.now))
            elif isinstance(action, DeleteChild):
                self.delete_child(action.child.uid)
            elif isinstance(action, SuspendChild):
                self._change_child(action.child.uid, suspended=action.suspend)
        return made

    def _create(self, child: Child) -> None:
        if child.name in {other.name for other in self.seen.children}:
            return
        new = replace(child, uid=f"uid-{next(self._serial)}")
        self.seen = replace(self.seen, children=(*self.seen.children, new))

    def delete_child(self, uid: str) -> None:
        """Delete a child in the background: the object goes at once, its pods are being deleted."""
        kept = tuple(child for child in self.seen.children if child.uid != uid)
        self.seen = replace(self.seen, children=kept)
        for pod in self.seen.pods:
            if pod.owner_uid == uid:
                self.change_pod(pod, deleting=True)

    def _change_child(self, uid: str, **changes: Any) -> None:
        children = (replace(child, **changes) if child.uid == uid else child for child in self.seen.children)
        self.seen = replace(self.seen, children=tuple(children))

    def change_pod(self, pod: Pod, **changes: Any) -> None:
        """Change a pod, found by its uid."""
        pods = (replace(other, **changes) if other.uid == pod.uid else other for other in self.seen.pods)
        self.seen = replace(self.seen, pods=tuple(pods))

    def restart_operator(self) -> None:
        """A new operator has heard no report."""
        self.seen = replace(self.seen, reports=())

    # The cluster

    def admit(self) -> None:
        """Kueue admits what waits in a queue, unless the run is suspended."""
        for child in self.seen.children:
            if (
                child.queue is not None
                and child.suspended
                and not child.terminal
                and not self.seen.run.spec.get("suspend")
            ):
                self._change_child(child.uid, suspended=False)

    def evict(self) -> None:
        """Kueue takes the child at work out again."""
        child = self.current()
        if child is not None and child.queue is not None and not child.suspended and not child.terminal:
            self.charge("nobody")
            self._change_child(child.uid, suspended=True)

    def forget_pod(self, pod: Pod) -> None:
        """A person deletes a lost node's pod by force."""
        self._remove(pod)

    def move(self) -> None:
        """One step of controllers and kubelets."""
        for pod in self.seen.pods:
            if pod.deleting and pod.terminal:
                self._remove(pod)
            elif pod.deleting and pod.uid not in self.lost:
                self._stop(pod)
        for child in self.seen.children:
            self._reconcile(child)
        owners = {child.uid: child.attempt for child in self.seen.children}
        attempts = {owners.get(pod.owner_uid or "", pod.owner_uid) for pod in self.alive()}
        if len(attempts) > 1:
            self.overlaps.append(f"attempts {attempts}")

    def _remove(self, pod: Pod) -> None:
        self.lost.discard(pod.uid)
        self.seen = replace(self.seen, pods=tuple(other for other in self.seen.pods if other.uid != pod.uid))

    def _stop(self, pod: Pod) -> None:
        """SIGTERM: the ranks save, and the launcher asks to be tried again."""
        child = next((owner for owner in self.seen.children if owner.uid == pod.owner_uid), None)
        if child is not None and self.step.get(child.uid):
            self.committed[child.key].add(self.step[child.uid])
            self._report(child, self.step[child.uid])
        self._end(pod, exit_code=75, termination_message=failed_saying("Interrupted"))

    def _end(self, pod: Pod, **how: Any) -> None:
        phase = "Succeeded" if how.get("exit_code") == 0 else "Failed"
        self.change_pod(pod, phase=phase, finished_at=self.now, **how)

    def _reconcile(self, child: Child) -> None:
        pods = [pod for pod in self.seen.pods if pod.owner_uid == child.uid]
        if child.terminal:
            return
        if child.suspended:
            for pod in pods:
                self.change_pod(pod, deleting=True)
            return
        if any(pod.phase == "Failed" and not pod.deleting for pod in pods):
            self._change_child(child.uid, failed=True, finished_at=self.now)
            return
        if any(pod.phase == "Succeeded" and pod.index == 0 for pod in pods):
            self._change_child(child.uid, complete=True, finished_at=self.now)
            return
        if child.started_at is None:
            self._change_child(child.uid, started_at=self.now)
        names = {pod.name for pod in self.seen.pods}
        for index in range(child.size):
            pod = replace(pod_of(child, index), name=f"{child.name}-{index}", uid=f"pod-{next(self._serial)}")
            if pod.name not in names:
                self.seen = replace(self.seen, pods=(*self.seen.pods, pod))

    # The ranks

    def work(self, steps: int, *, heard: bool = True) -> None:
        """Let the ranks make steps, where a whole group is up; `heard`: their reports arrive."""
        child = self.current()
        pods = [pod for pod in self.alive() if child is not None and pod.owner_uid == child.uid]
        pods = [pod for pod in pods if pod.uid not in self.lost]
        if child is not None and child.key in self.done:
            self._succeed(child, pods)  # each worker looks for the artifact first
            return
        if child is None or len(pods) < child.size:
            return
        if child.uid not in self.step:
            self.resumed[child.uid] = max(self.committed[child.key], default=0)
        at = self.step.get(child.uid, self.resumed[child.uid])
        every = int(self.seen.run.spec["checkpoints"]["everySteps"])
        for _ in range(steps):
            if at >= STEPS:
                break
            at += 1
            if at % every == 0 or at == STEPS:
                self.committed[child.key].add(at)
        self.step[child.uid] = at
        if heard:
            self._report(child, at)
        if at >= STEPS:
            self.done.add(child.key)
            self._succeed(child, pods)

    def _succeed(self, child: Child, pods: list[Pod]) -> None:
        artifact = {"uri": f"file:///artifacts/{child.key[-16:]}", "digest": digest_of(child.key)}
        summary = {"resumedFromStep": self.resumed.get(child.uid) or None}
        message = said(artifact=artifact, summary=summary, metrics={"step": STEPS, "loss": 1.0})
        for pod in pods:
            self._end(pod, exit_code=0, termination_message=message)

    def _report(self, child: Child, at: int) -> None:
        of_child = (pod for pod in self.seen.pods if pod.owner_uid == child.uid)
        first = next((pod for pod in of_child if pod.index == 0), None)
        resumed = self.resumed.get(child.uid, 0)
        metrics = {"loss": 2.0 - at / 10} | ({RESUMED_METRIC: float(resumed)} if resumed else {})
        saved = [step for step in self.committed[child.key] if resumed < step <= at]
        checkpoint = {
            "uri": "file:///c", "step": max(saved), "digest": digest_of(child.key),
            "committedAt": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        } if saved else None  # fmt: skip
        body = StageReport(
            stage="train", attempt=child.attempt, done=at, total=STEPS, metrics=metrics, checkpoint=checkpoint
        )
        others = tuple(report for report in self.seen.reports if report.body.attempt != child.attempt)
        report = Report(body, self.now, resumed, self.now, first.name if first else None)
        self.seen = replace(self.seen, reports=(*others, report))

    def fail(self, pick: int, **how: Any) -> None:
        """A rank dies; those on the other node follow."""
        pods = [pod for pod in self.alive() if pod.uid not in self.lost]
        if not pods:
            return
        first = pods[pick % len(pods)]
        self._end(first, **how)
        for pod in pods:
            if pod.uid != first.uid and pod.owner_uid == first.owner_uid:
                self._end(pod, exit_code=1, termination_message=failed_saying(PEER_LOST))

    # A person

    def edit(self, **changes: Any) -> None:
        """Edit the spec."""
        self.seen = edited(self.seen, **changes)

    def pass_time(self, minutes: float) -> None:
        """Let time pass."""
        self.now += timedelta(minutes=minutes)
