"""One process at a time serves a controller: whoever does holds a Lease, and says so to others that would.

Two Job controllers on one cluster would make two pods for one index.
"""

import asyncio
import hashlib
import logging
from datetime import timedelta

from fabula_local import timestamps
from fabula_local.client import Api, ApiError
from fabula_local.kinds import LEASE, Obj

log = logging.getLogger("fabula.local.controller")

NAMESPACE = "kube-system"
LEASE_FRESH_SECONDS = 60.0
"""A Lease that was not renewed for so long is nobody's."""
RENEW_SECONDS = 20.0
STANDBY_SECONDS = 2.0


def claim_name(controller: str) -> str:
    """Name of a controller's Lease."""
    return f"fabula-local-{controller}"


def fresh(lease: Obj) -> bool:
    """Whether the Lease's holder has renewed it lately."""
    renewed = (lease.get("spec") or {}).get("renewTime")
    age = timedelta(seconds=LEASE_FRESH_SECONDS)
    return renewed is not None and timestamps.now() - timestamps.parse(renewed) < age


class Claims:
    """The Leases of the controllers that this process serves."""

    def __init__(self, api: Api, *, holder: str) -> None:
        self._api = api
        # The same state folder is the same holder: after a crash it need not wait for its own Lease to run out.
        self._holder = hashlib.sha256(holder.encode()).hexdigest()[:16]
        self._names: list[str] = []
        self._task: asyncio.Task[None] | None = None

    async def acquire(self, controller: str) -> None:
        """Wait until no other process serves the controller; from then on this one's Lease is kept."""
        told = False
        while True:
            lease = await self._api.find(LEASE, claim_name(controller), NAMESPACE)
            if lease is None or not fresh(lease) or lease["spec"].get("holderIdentity") == self._holder:
                break
            if not told:
                log.info("controller %s is served by another process; standing by", controller)
                told = True
            await asyncio.sleep(STANDBY_SECONDS)
        await self._renew(controller)
        self._names.append(controller)
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name="claims")

    async def release(self) -> None:
        """Give the Leases up, so that another process may serve at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for name in self._names:
            try:
                await self._api.delete(LEASE, claim_name(name), NAMESPACE)
            except (ApiError, OSError) as error:
                log.info("lease of controller %s not given up: %s", name, error)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for name in self._names:
                try:
                    await self._renew(name)
                except (ApiError, OSError) as error:
                    log.warning("lease of controller %s not renewed: %s", name, error)

    async def _renew(self, name: str) -> None:
        moment = timestamps.rfc3339_micro(timestamps.now())
        spec = {"holderIdentity": self._holder, "leaseDurationSeconds": int(LEASE_FRESH_SECONDS), "renewTime": moment}
        try:
            await self._api.patch(LEASE, claim_name(name), NAMESPACE, {"spec": spec})
        except ApiError as error:
            if not error.not_found:
                raise
            await self._api.create(
                LEASE, {"metadata": {"name": claim_name(name), "namespace": NAMESPACE}, "spec": spec}
            )
