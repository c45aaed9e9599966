"""One process at a time serves a controller: whoever does holds a Lease, and says so to others that would.

Two Job controllers on one cluster would make two pods for one index.
"""

import hashlib
from datetime import timedelta

from fabula_kube.lease import Leadership, Pace
from fabula_local import timestamps
from fabula_local.client import Api
from fabula_local.kinds import Kind, Obj

NAMESPACE = "kube-system"
PACE = Pace(duration=60, renew=20.0, watch=2.0)


def claim_name(controller: str) -> str:
    """Name of a controller's Lease."""
    return f"fabula-local-{controller}"


def fresh(lease: Obj) -> bool:
    """Whether somebody holds the Lease and has renewed it lately."""
    spec = lease.get("spec") or {}
    if not spec.get("holderIdentity") or not spec.get("renewTime"):
        return False
    return timestamps.now() - timestamps.parse(spec["renewTime"]) < timedelta(seconds=PACE.duration)


class _Leases:
    """Our client, as an election asks it."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def get(self, resource: Kind, namespace: str | None, name: str) -> Obj | None:
        return await self._api.find(resource, name, namespace)

    async def create(self, resource: Kind, obj: Obj) -> Obj:
        return await self._api.create(resource, obj)

    async def replace(self, resource: Kind, obj: Obj) -> Obj:
        return await self._api.replace(resource, obj)


class Claims:
    """The Leases of the controllers that this process serves."""

    def __init__(self, api: Api, *, holder: str) -> None:
        self._leases = _Leases(api)
        # The same state folder is the same holder: after a crash it need not wait for its own Lease to run out.
        self._holder = hashlib.sha256(holder.encode()).hexdigest()[:16]
        self._held: dict[str, Leadership] = {}

    async def acquire(self, controller: str) -> None:
        """Wait until no other process serves the controller."""
        claim = Leadership(self._leases, NAMESPACE, claim_name(controller), self._holder, PACE)
        await claim.acquire()
        self._held[controller] = claim

    async def keep(self, controller: str) -> None:
        """Renew what was acquired; returns when another process has it."""
        await self._held[controller].keep()

    async def release(self) -> None:
        """Give the Leases up, so that another process may serve at once."""
        for claim in self._held.values():
            await claim.release()
