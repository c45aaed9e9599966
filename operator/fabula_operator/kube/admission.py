"""What Kueue says of a child that it has not admitted, from the Workload that it keeps for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from fabula_operator.kube.client import Api, ApiError
from fabula_operator.kube.resources import CHILDREN, KUEUE, WORKLOAD, Obj, Resource
from fabula_operator.render.names import QUEUE

logger = logging.getLogger(__name__)
JOB_UID = "kueue.x-k8s.io/job-uid"
TELLING = ("QuotaReserved", "Admitted")
"""Conditions that say why, the first one first."""


class Admissions:
    """Reads Workloads where Kueue is installed and they may be read; without either there is nothing to tell."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._resource: Resource | None = None
        self._complained = False

    @property
    def installed(self) -> bool:
        """Whether Kueue was there when it was last asked for."""
        return self._resource is not None

    async def discover(self) -> None:
        """Ask which version of Workloads is served."""
        group = await self._api.get_path(f"/apis/{KUEUE}")
        version = ((group or {}).get("preferredVersion") or {}).get("version")
        self._resource = replace(WORKLOAD, version=version) if version else None

    async def of(self, namespace: str, children: Iterable[Obj]) -> dict[str, str]:
        """Messages of the queued children among these objects, by uid."""
        found: dict[str, str] = {}
        for child in children:
            meta = child["metadata"]
            if self._resource is None or child["kind"] not in CHILDREN or not waits(child):
                continue
            try:
                workloads = await self._api.list(self._resource, namespace, f"{JOB_UID}={meta['uid']}")
            except ApiError as error:
                if not self._complained:
                    self._complained = True
                    logger.warning("Kueue's Workloads cannot be read, so that runs cannot say why they wait: %s", error)
                return {}
            if message := next((said for one in workloads if (said := told(one))), None):
                found[meta["uid"]] = message
        return found


def waits(child: Obj) -> bool:
    """Whether the child is in a queue and not admitted."""
    spec = child.get("spec") or {}
    held = spec.get("suspend") or (spec.get("runPolicy") or {}).get("suspend")
    return bool(held) and QUEUE in (child["metadata"].get("labels") or {})


def told(workload: Obj) -> str | None:
    """Why a Workload is not admitted, in Kueue's own words."""
    conditions = {one["type"]: one for one in (workload.get("status") or {}).get("conditions") or ()}
    for type_ in TELLING:
        one = conditions.get(type_)
        if one is not None and one.get("status") == "False" and one.get("message"):
            return str(one["message"])[:1000]
    return None
