"""Carrying trials out: make a child, look at it until it has ended, and take it away again."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from fabula_cli.access import Access
from fabula_cli.checks import Unseen, seen
from fabula_cli.first_run.manifests import LABEL, Trial, child, on_product
from fabula_cli.first_run.outcome import Outcome, ended
from fabula_kube.errors import ApiError
from fabula_operator.kube.admission import JOB_UID
from fabula_operator.kube.resources import CHILDREN, POD, WORKLOAD
from fabula_operator.render import WorkerSettings

HELD_SECONDS = 10.0
"""How long a suspended child is looked at: one that is not held has pods by then."""


def carry_out(
    reach: Access, trial: Trial, settings: WorkerSettings, limit: float, pause: float = 1.0, keep: bool = False
) -> Outcome:
    """Make the trial's child, wait until it has ended or `limit` seconds are over, and delete it unless `keep`.

    Raises NoAnswer.
    """
    resource = CHILDREN[trial.kind]
    product = next((word.partition("=")[2] for word in trial.arguments if word.startswith("--product=")), None)
    manifest = child(trial, reach.namespace, on_product(settings, product), uuid.uuid4().hex[:6])
    name = manifest["metadata"]["name"]
    try:
        reach.client.create(resource, manifest)
    except ApiError as error:
        return Outcome(trial, refused=error)
    began = time.monotonic()
    try:
        while True:
            outcome = _look(reach, trial, name)
            outcome = replace(outcome, seconds=time.monotonic() - began)
            if trial.suspended:
                if outcome.pods or outcome.seconds >= min(limit, HELD_SECONDS):
                    return outcome
            elif ended(outcome) or outcome.seconds >= limit:
                return outcome
            time.sleep(pause)
    finally:
        if not keep:
            with contextlib.suppress(ApiError):
                reach.client.delete(resource, reach.namespace, name)


def _look(reach: Access, trial: Trial, name: str) -> Outcome:
    obj = reach.client.get(CHILDREN[trial.kind], reach.namespace, name)
    pods = reach.client.list(POD, reach.namespace, f"{LABEL}={trial.name}")
    uid = obj["metadata"]["uid"]
    its_pods = [pod for pod in pods if _owner(pod) in (uid, None)]
    workloads: list[dict[str, Any]] = []
    if trial.queue:
        listed = seen(lambda: reach.client.list(reach.served(WORKLOAD), reach.namespace))
        workloads = [] if isinstance(listed, Unseen) else [workload for workload in listed if _is_for(workload, uid)]
    return Outcome(trial, child=obj, pods=its_pods, workloads=workloads)


def _owner(pod: dict[str, Any]) -> str | None:
    return next((str(owner["uid"]) for owner in pod["metadata"].get("ownerReferences") or ()), None)


def _is_for(workload: dict[str, Any], uid: str) -> bool:
    labels = workload["metadata"].get("labels") or {}
    return labels.get(JOB_UID) == uid or _owner(workload) == uid


def all_of(
    reach: Access, wanted: list[Trial], settings: WorkerSettings, limit: float, tell: Callable[[str], None], keep: bool
) -> Iterator[Outcome]:
    """One after the other, so that no trial takes another's room."""
    for trial in wanted:
        tell(f"trying: {trial.about} (a {trial.kind} {'that is suspended' if trial.suspended else 'of one pod'})")
        yield carry_out(reach, trial, settings, limit, keep=keep)
