"""Pods that never end although their worker has: another container in them runs on, such as a service mesh's.

Kubernetes ends a pod with its last container, so its Job would wait for ever. The worker's own end is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from fabula_operator.plan.seen.api_objects import Child, Pod, running
from fabula_operator.plan.seen.observed import Observed, Waiting
from fabula_operator.plan.times import timestamp


def by_their_workers(seen: Observed, now: datetime) -> Observed:
    """The observation in which a pod has ended once its worker has, a while ago, and a child with its pods."""
    over = {pod.uid for pod in seen.pods if held(pod) and (due := _due(seen, pod)) is not None and now >= due}
    if not over:
        return seen
    pods = tuple(_ended(pod) if pod.uid in over else pod for pod in seen.pods)
    pods_of_child = {child.uid: [pod for pod in pods if pod.owner_uid == child.uid] for child in seen.children}
    children = tuple(_judged(child, pods_of_child[child.uid], over) for child in seen.children)
    return replace(seen, pods=pods, children=children)


def held(pod: Pod) -> bool:
    """Whether something else keeps the pod although its worker has ended."""
    return pod.beside is not None and pod.phase == "Running" and pod.exit_code is not None


def held_back(seen: Observed, child: Child, now: datetime) -> tuple[Waiting | None, float | None]:
    """(what to say where nothing but such pods is left of a child, seconds until their workers' word is taken)."""
    alive = running(seen.pods_of(child))
    waits = [due for pod in alive if held(pod) and (due := _due(seen, pod)) is not None]
    again = min(((due - now).total_seconds() for due in waits), default=None)
    if not alive or not all(held(pod) for pod in alive) or not waits:
        return None, again
    first = min(alive, key=lambda pod: pod.index)
    message = (
        f"pod {first.name}: the worker has ended and container {first.beside} runs on; the worker's own result is "
        f"taken at {timestamp(max(waits))}. Keep containers from being added to these pods"
    )
    return Waiting("OtherContainerRuns", message), again


def _due(seen: Observed, pod: Pod) -> datetime | None:
    if pod.finished_at is None:
        return None
    return pod.finished_at + timedelta(seconds=seen.environment.patience_seconds)


def _ended(pod: Pod) -> Pod:
    return replace(pod, phase="Succeeded" if pod.exit_code == 0 else "Failed")


def _judged(child: Child, pods: Sequence[Pod], over: set[str]) -> Child:
    if child.terminal or child.suspended or child.deleting or not any(pod.uid in over for pod in pods):
        return child
    ends = [pod.finished_at for pod in pods if pod.finished_at is not None]
    finished_at = max(ends, default=None)
    failed = frozenset(pod.index for pod in pods if pod.uid in over and pod.phase == "Failed")
    if failed:
        return replace(child, failed=True, failed_indexes=failed, finished_at=finished_at)
    done = {pod.index for pod in pods if pod.phase == "Succeeded"}
    # A PyTorchJob is through once its master is.
    if len(done) == child.size or (child.kind == "PyTorchJob" and 0 in done):
        return replace(child, complete=True, finished_at=finished_at)
    return child
