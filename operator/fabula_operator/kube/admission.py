"""What Kueue says of a child that it has not admitted, from the Workload that it keeps for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from fabula_operator.kube.client import Api, ApiError
from fabula_operator.kube.resources import KUEUE, WORKLOAD, Obj, Resource
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

    def discovered(self, groups: Iterable[Obj]) -> None:
        """Take from the API groups of the cluster which version of Workloads is served."""
        group = next((group for group in groups if group["name"] == KUEUE), {})
        version = (group.get("preferredVersion") or {}).get("version")
        self._resource = replace(WORKLOAD, version=version) if version else None

    async def messages(self, namespace: str | None) -> dict[str, str]:
        """Messages for children that are not admitted, by their uid: one list for all of them."""
        messages: dict[str, str] = {}
        if self._resource is None:
            return messages
        try:
            async for page in self._api.pages(self._resource, namespace, JOB_UID):
                for workload in page:
                    if message := message_of(workload):
                        messages[workload["metadata"]["labels"][JOB_UID]] = message
        except ApiError as error:
            if not self._complained:
                self._complained = True
                logger.warning("Kueue's Workloads cannot be read, so that runs cannot say why they wait: %s", error)
            return {}
        return messages


def waits(child: Obj) -> bool:
    """Whether the child is in a queue and not admitted."""
    spec = child.get("spec") or {}
    held = spec.get("suspend") or (spec.get("runPolicy") or {}).get("suspend")
    return bool(held) and QUEUE in (child["metadata"].get("labels") or {})


def message_of(workload: Obj) -> str | None:
    """Why a Workload is not admitted, in Kueue's own words."""
    conditions = {condition["type"]: condition for condition in (workload.get("status") or {}).get("conditions") or ()}
    for type_ in TELLING:
        condition = conditions.get(type_)
        if condition is not None and condition.get("status") == "False" and condition.get("message"):
            return str(condition["message"])[:1000]
    return None
