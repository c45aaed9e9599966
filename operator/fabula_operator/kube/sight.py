"""What a plan sees of a run: its own object, its children, pods and references, out of the cache, as values."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from fabula_api.outside import plain
from fabula_operator.kube.cache import Cache
from fabula_operator.kube.news import Key
from fabula_operator.kube.resources import CHILDREN, Obj
from fabula_operator.plan.groups.group import has_groups
from fabula_operator.plan.kinds.reference import reference_to
from fabula_operator.plan.seen.api_objects import Child, Pod, controller_kind, controller_uid
from fabula_operator.plan.seen.observed import Environment, Observed, Report, Run, Waiting
from fabula_operator.plan.stages.references import named_runs

logger = logging.getLogger(__name__)
T = TypeVar("T")


def see(
    cache: Cache, key: Key, environment: Environment, reports: tuple[Report, ...], obstacle: Waiting | None
) -> Observed | None:
    """Everything that a plan for the run may look at; None when there is no such run."""
    obj = cache.get(key)
    if obj is None:
        return None
    run = Run.from_object(obj)
    uid = run.identity.uid
    owned = sorted(cache.owned(uid), key=lambda obj: (obj["kind"], obj["metadata"]["name"]))
    # Labels can be forged: a child is controlled by the run, a pod by a child, which may be gone before its pods.
    children = _read(
        cache,
        Child.from_object,
        (child for child in owned if child["kind"] in CHILDREN and controller_uid(child["metadata"]) == uid),
    )
    pods = _read(
        cache,
        Pod.from_object,
        (pod for pod in owned if pod["kind"] == "Pod" and controller_kind(pod["metadata"]) in CHILDREN),
    )
    references = {
        (kind, name): reference_to(kind, name, cache.get(Key(kind, key.namespace, name)))
        for kind, name in sorted(named_runs(key.kind, obj.get("spec") or {}))
    }
    claims = cache.claims.beside(obj, environment.artifact_root) if has_groups(key.kind) else {}
    return Observed(
        run, environment, children, pods, references, reports, cache.admissions(uid), obstacle, claims
    )  # fmt: skip


def _read(cache: Cache, read: Callable[[Obj], T], objects: Iterable[Obj]) -> tuple[T, ...]:
    """The objects as values. What does not parse was not made by us: it is left out, and the log says so once."""
    values = []
    for obj in objects:
        try:
            values.append(read(obj))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            meta, why = obj["metadata"], str(error) or type(error).__name__
            if cache.foreign.get(meta["uid"]) != why:
                cache.foreign[meta["uid"]] = why
                logger.warning("%s %s/%s is left out: %s", obj["kind"], meta["namespace"], meta["name"], plain(why))
    return tuple(values)
