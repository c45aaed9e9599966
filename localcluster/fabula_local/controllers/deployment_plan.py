"""How a Deployment moves from one template to the next. Pure; the arithmetic is that of apps/v1 rolling updates."""

import copy
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fabula_local.controllers.conditions import with_condition
from fabula_local.kinds import DEPLOYMENT, Obj, controller_reference

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(slots=True)
class DeploymentPlan:
    """Executed in this order: create, scale, delete, status."""

    create: Obj | None = None
    scale: list[tuple[Obj, int]] = field(default_factory=list)
    """(ReplicaSet, number of pods it shall have)."""
    delete: list[Obj] = field(default_factory=list)
    """Old, empty ReplicaSets beyond the history limit."""
    status: Obj = field(default_factory=dict)


def template_hash(template: Obj) -> str:
    """A short name for a pod template, the same for the same template."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:10])


def plan_deployment(deployment: Obj, sets: Sequence[Obj], now: datetime) -> DeploymentPlan:
    """The next step of a Deployment, given the ReplicaSets it controls."""
    plan = DeploymentPlan()
    spec = deployment["spec"]
    wanted = int(spec.get("replicas", 1))
    current = next((replica_set for replica_set in sets if _same_template(replica_set, deployment)), None)
    old = [replica_set for replica_set in sets if replica_set is not current]
    if current is None:
        current = plan.create = _render(deployment, sets)
    if not spec.get("paused"):
        _roll(plan, spec, wanted, current, old)
    limit = int(spec.get("revisionHistoryLimit", 10))
    empty = [replica_set for replica_set in old if not _size(replica_set) and not _count(replica_set, "replicas")]
    plan.delete = sorted(empty, key=_revision)[: max(len(empty) - limit, 0)]
    plan.status = _status(deployment, [*sets, *([current] if plan.create else [])], current, wanted, now)
    return plan


def _same_template(replica_set: Obj, deployment: Obj) -> bool:
    return bool(
        (replica_set["metadata"].get("labels") or {}).get(HASH) == template_hash(deployment["spec"]["template"])
    )


def _size(replica_set: Obj) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def _count(replica_set: Obj, name: str) -> int:
    return int((replica_set.get("status") or {}).get(name, 0))


def _revision(replica_set: Obj) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _render(deployment: Obj, sets: Sequence[Obj]) -> Obj:
    template = copy.deepcopy(deployment["spec"]["template"])
    name = template_hash(deployment["spec"]["template"])
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH: name}
    template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
    selector = copy.deepcopy(deployment["spec"]["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: name}
    revision = max((_revision(replica_set) for replica_set in sets), default=0) + 1
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{deployment['metadata']['name']}-{name}",
            "namespace": deployment["metadata"]["namespace"],
            "labels": labels,
            "annotations": {REVISION: str(revision)},
            "ownerReferences": [controller_reference(deployment, DEPLOYMENT)],
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": int(deployment["spec"].get("minReadySeconds", 0)),
            "selector": selector,
            "template": template,
        },
    }


def _share(value: int | str, wanted: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    exact = int(value.removesuffix("%")) * wanted / 100
    return math.ceil(exact) if up else math.floor(exact)


def _roll(plan: DeploymentPlan, spec: Obj, wanted: int, current: Obj, old: Sequence[Obj]) -> None:
    strategy = spec.get("strategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    in_old = sum(_size(replica_set) for replica_set in old)
    if strategy.get("type") == "Recreate":
        plan.scale = [(replica_set, 0) for replica_set in old if _size(replica_set)]
        # None of the new ones before the last of the old ones is gone.
        if not any(_count(replica_set, "replicas") for replica_set in old) and _size(current) != wanted:
            plan.scale.append((current, wanted))
        return
    surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
    slack = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    if surge == 0 and slack == 0:
        slack = 1
    room = wanted + surge - in_old - _size(current)
    target = min(wanted, _size(current) + max(room, 0)) if _size(current) < wanted else wanted
    if target != _size(current):
        plan.scale.append((current, target))
    unavailable_new = max(_size(current) - _count(current, "availableReplicas"), 0)
    spare = in_old + _size(current) - (wanted - slack) - unavailable_new
    for replica_set in sorted(old, key=lambda entry: (_count(entry, "availableReplicas"), _revision(entry))):
        if spare <= 0 or not _size(replica_set):
            continue
        # Pods that do not serve anyway can always go.
        down = min(_size(replica_set), spare)
        plan.scale.append((replica_set, _size(replica_set) - down))
        spare -= down


def _status(deployment: Obj, sets: Sequence[Obj], current: Obj, wanted: int, now: datetime) -> Obj:
    total = sum(_count(replica_set, "replicas") for replica_set in sets)
    ready = sum(_count(replica_set, "readyReplicas") for replica_set in sets)
    available = sum(_count(replica_set, "availableReplicas") for replica_set in sets)
    updated = _count(current, "replicas")
    rolling = ((deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}).get("maxUnavailable", "25%")
    needed = wanted - _share(rolling, wanted, up=False)
    conditions = (deployment.get("status") or {}).get("conditions") or []
    enough = available >= needed
    conditions = with_condition(
        conditions,
        "Available",
        "True" if enough else "False",
        "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        f"Deployment {'has' if enough else 'does not have'} minimum availability.",
        now,
    )
    done = updated == wanted and total == wanted and available == wanted
    name = current["metadata"]["name"]
    conditions = with_condition(
        conditions,
        "Progressing",
        "True",
        "NewReplicaSetAvailable" if done else "ReplicaSetUpdated",
        f'ReplicaSet "{name}" has successfully progressed.' if done else f'ReplicaSet "{name}" is progressing.',
        now,
    )
    counts = {
        "replicas": total,
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "availableReplicas": available,
        "unavailableReplicas": max(wanted - available, 0),
    }
    status: Obj = {name: number for name, number in counts.items() if number}
    return {**status, "observedGeneration": deployment["metadata"].get("generation", 0), "conditions": conditions}
