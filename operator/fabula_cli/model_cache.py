"""The cache of models in one namespace: its claim, and the chart's Job that fills it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fabula_api.worker import WorkerResult
from fabula_cli.access import Access
from fabula_cli.checks import Check, Unseen, seen
from fabula_kube.errors import ApiError
from fabula_kube.kinds import JOB, POD, VOLUME_CLAIM
from fabula_operator.render.worker_defaults import ModelCache

ABOUT = "model cache"
_JOBS = "app.kubernetes.io/name=fabula-models"


@dataclass(frozen=True, slots=True)
class CacheSeen:
    """What was seen of it."""

    place: ModelCache | None
    claim: dict[str, Any] | Unseen | None = None
    jobs: Sequence[dict[str, Any]] | Unseen = ()
    pods: Sequence[dict[str, Any]] | Unseen = ()
    """Of the Jobs."""


def look(reach: Access, place: ModelCache | None) -> CacheSeen:
    """Look at the user's namespace."""
    if place is None or place.claim is None:
        return CacheSeen(place)
    client, space, name = reach.client, reach.namespace, place.claim

    def claim() -> dict[str, Any] | None:
        try:
            return client.get(VOLUME_CLAIM, space, name)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    return CacheSeen(
        place,
        seen(claim),
        seen(lambda: client.list(JOB, space, _JOBS)),
        seen(lambda: client.list(POD, space, _JOBS)),
    )


def judge_cache(cache: CacheSeen | Unseen, namespace: str) -> Check:
    """The line about it."""
    if isinstance(cache, Unseen):
        return Check(ABOUT, "NOTE", f"the installation's settings cannot be read ({cache.why})")
    if cache.place is None:
        words = "there is none: each pod downloads the models that it loads. Set workers.modelCache.claim of the chart"
        return Check(ABOUT, "NOTE", words)
    if cache.place.claim is None:
        return Check(ABOUT, "OK", f"{cache.place.host_path} on each node; what lies there is not seen from here")
    return _claim(cache, cache.place.claim, namespace)


def _claim(cache: CacheSeen, name: str, namespace: str) -> Check:
    if isinstance(cache.claim, Unseen):
        return Check(ABOUT, "NOTE", f"claim {name} cannot be seen ({cache.claim.why})")
    if cache.claim is None:
        words = (
            f"claim {name} is not in namespace {namespace}, so no pod that loads a model starts: make it, or let the"
        )
        return Check(ABOUT, "MISSING", f"{words} chart do so (namespaces[].modelClaim)")
    phase = (cache.claim.get("status") or {}).get("phase")
    if phase == "Lost":
        return Check(ABOUT, "MISSING", f"claim {name} has lost its volume: make it anew")
    modes = cache.claim["spec"].get("accessModes") or []
    place = f"claim {name} is {'bound' if phase == 'Bound' else 'not bound yet'}"
    if not {"ReadWriteMany", "ReadWriteOncePod"} & set(modes) and modes:
        place += f" ({modes[0]}: it serves one node)"
    filled = _filled(cache)
    return Check(ABOUT, filled.state, f"{place}; {filled.said}")


def _filled(cache: CacheSeen) -> Check:
    if isinstance(cache.jobs, Unseen):
        return Check(ABOUT, "NOTE", f"the Jobs that fill it cannot be seen ({cache.jobs.why})")
    if not cache.jobs:
        words = "no Job fills it (workers.modelCache.models): a model comes when a run first asks for it"
        return Check(ABOUT, "OK", words)
    newest = max(cache.jobs, key=lambda job: str(job["metadata"].get("creationTimestamp") or ""))
    name = newest["metadata"]["name"]
    models = ", ".join(newest["spec"]["template"]["spec"]["containers"][0].get("args") or ())
    ends = {
        condition["type"]
        for condition in (newest.get("status") or {}).get("conditions") or ()
        if condition["status"] == "True"
    }
    if "Complete" in ends:
        return Check(ABOUT, "OK", f"Job {name} has filled it with {models}")
    last = _last_word(cache, name)
    if "Failed" in ends:
        return Check(ABOUT, "MISSING", f"Job {name} failed to fill it with {models}: {last or 'see its log'}")
    return Check(ABOUT, "NOTE", f"Job {name} is filling it with {models}{f'; its last try: {last}' if last else ''}")


def _last_word(cache: CacheSeen, job: str) -> str | None:
    """What the newest pod that failed said."""
    if isinstance(cache.pods, Unseen):
        return None
    ended = [
        (str(terminated.get("finishedAt") or ""), str(terminated.get("message") or ""))
        for pod in cache.pods
        if (pod["metadata"].get("labels") or {}).get("job-name") == job
        for status in (pod.get("status") or {}).get("containerStatuses") or ()
        if (terminated := (status.get("state") or {}).get("terminated")) and terminated.get("exitCode")
    ]
    if not ended:
        return None
    try:
        failure = WorkerResult.model_validate_json(max(ended)[1]).failure
    except ValidationError:
        return None
    return f"{failure.reason}: {failure.message}" if failure else None
