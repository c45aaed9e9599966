"""Children without the pods they should have, and pods without the processes they should run: for what they wait.

A status alone does not say it. Kubernetes says it in Warning events, which are asked for once a child or pod is late.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fabula_api.outside import camel_reason
from fabula_operator.plan.seen.api_objects import Child, Pod, running
from fabula_operator.plan.seen.observed import Observed, Subject, Waiting
from fabula_operator.plan.times import timestamp


@dataclass(frozen=True, slots=True)
class Late:
    """What is late, and what is known of why."""

    waiting: Waiting | None = None
    subject: Subject | None = None
    """Whose events to ask for."""
    look_again: float | None = None
    """Seconds until it is late. From then on its events are asked for, and their news bring the next look."""


def late(seen: Observed, child: Child, now: datetime, *, all_needed: bool = False) -> Late:
    """What keeps a child's pods from running. With `all_needed` each counts, as in a group; else any will do."""
    pods = seen.pods_of(child)
    alive = running(pods)
    if any(pod.phase == "Running" for pod in alive) and not all_needed:
        return Late()
    number = len({pod.index for pod in pods if not pod.deleting})
    if number < child.size if all_needed else not alive:
        return _unmade(seen, child, pods, now)
    for pod in sorted(alive, key=lambda pod: pod.index):
        if pod.waiting is not None and (not all_needed or pod.waiting != "SchedulingGated"):
            said = f"pod {pod.name}: {pod.waiting_message or pod.waiting}"
            return Late(Waiting(pod.waiting, said, since=pod.created_at))
    unborn = [pod for pod in alive if pod.phase == "Pending" and pod.scheduled_at is not None]
    first = min(unborn, key=lambda pod: (pod.scheduled_at, pod.index), default=None)
    return Late() if first is None else _creating(seen, first, now)


def _unmade(seen: Observed, child: Child, pods: Sequence[Pod], now: datetime) -> Late:
    """A child that should have pods and has none, or too few of them."""
    known = (child.created_at, child.started_at, *(pod.finished_at for pod in pods))
    since = max((time for time in known if time is not None), default=None)
    if since is None:
        return Late()
    if (left := _left(seen, since, now)) > 0:
        return Late(look_again=left)
    subject, said = Subject(child.kind, child.name, child.uid), seen.warnings.get(child.uid)
    # Of a child that had pods, only what was said after the last one ended can be why there is none.
    if said is not None and (not pods or (said.at is not None and said.at >= since)):
        message = f"{child.kind} {child.name}: {_of_any_pod(child, said.message)}"
        return Late(Waiting(camel_reason(said.reason), message[:1000], since=since), subject)
    if child.uid not in seen.warnings or pods:
        # Not asked yet; or its controller waits before the next try of a pod, which is told elsewhere.
        return Late(None, subject)
    message = f"{child.kind} {child.name} has had no pod since {timestamp(since)}, and no event says why"
    return Late(Waiting("NoPods", message, since=since), subject)


def _creating(seen: Observed, pod: Pod, now: datetime) -> Late:
    """A pod that has a node and does not start."""
    assert pod.scheduled_at is not None
    if (left := _left(seen, pod.scheduled_at, now)) > 0:
        return Late(look_again=left)
    subject, said = Subject("Pod", pod.name, pod.uid), seen.warnings.get(pod.uid)
    if said is not None:
        waiting = Waiting(camel_reason(said.reason), f"pod {pod.name}: {said.message}"[:1000], since=pod.scheduled_at)
        return Late(waiting, subject)
    if pod.uid not in seen.warnings:
        return Late(None, subject)
    message = f"pod {pod.name} has had a node since {timestamp(pod.scheduled_at)} and has not started"
    return Late(Waiting("ContainerCreating", message, since=pod.scheduled_at), subject)


def _left(seen: Observed, since: datetime, now: datetime) -> float:
    return (since + timedelta(seconds=seen.environment.patience_seconds) - now).total_seconds()


def _of_any_pod(child: Child, text: str) -> str:
    """A controller's words without the letters that it makes up for each try, which would make them new each time."""
    return re.sub(rf'("{re.escape(child.name)}-(?:\d+-)?)[a-z0-9]{{5}}"', r'\1"', text)
