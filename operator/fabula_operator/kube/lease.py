"""Leader election by a Lease: of two operators one works and the other waits until the first is gone."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

from fabula_operator.kube.client import Api, ApiError
from fabula_operator.kube.resources import LEASE, Obj

logger = logging.getLogger(__name__)


class Leadership:
    """Holds, or waits for, one Lease. After `acquire`, run `keep` beside the work; it ends when the Lease is lost."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration_seconds: int = 15,
        retry_seconds: float = 3.0,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._duration = duration_seconds
        self._retry = retry_seconds
        self._seen: tuple[str, float] = ("", 0.0)
        self.leading = False

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        told = ""
        while True:
            holder = await self._try()
            if holder == self._identity:
                self.leading = True
                logger.info("leading as %s", self._identity)
                return
            if holder != told:
                logger.info("waiting for the lease %s/%s, held by %s", self._namespace, self._name, holder or "nobody")
                told = holder
            await asyncio.sleep(self._retry)

    async def keep(self) -> None:
        """Renew the Lease until it is lost, for certain before another operator may take it."""
        renewed = time.monotonic()
        while time.monotonic() - renewed < self._duration * 2 / 3:
            await asyncio.sleep(self._retry)
            started = time.monotonic()
            holder = await self._try()
            if holder == self._identity:
                renewed = started
            elif holder:
                break
        self.leading = False
        logger.error("lost the lease %s/%s", self._namespace, self._name)

    async def release(self) -> None:
        """Give the Lease back, so that the next operator need not wait for it to run out."""
        if not self.leading:
            return
        self.leading = False
        try:
            lease = await self._api.get(LEASE, self._namespace, self._name)
            if lease and lease["spec"].get("holderIdentity") == self._identity:
                await self._api.replace(LEASE, {**lease, "spec": {**lease["spec"], "holderIdentity": ""}})
        except ApiError as error:
            logger.warning("the lease stays until it runs out: %s", error)

    async def _try(self) -> str:
        """Take or renew the Lease if that is allowed; its holder afterwards, empty when the API did not answer."""
        try:
            lease = await self._api.get(LEASE, self._namespace, self._name)
            if lease is None:
                await self._api.create(LEASE, self._wanted(None))
                return self._identity
            holder = lease["spec"].get("holderIdentity") or ""
            if holder != self._identity and holder and not self._run_out(lease):
                return str(holder)
            await self._api.replace(LEASE, self._wanted(lease))
        except ApiError as error:
            if error.code != 409:
                logger.warning("lease %s/%s: %s", self._namespace, self._name, error)
            return ""
        return self._identity

    def _run_out(self, lease: Obj) -> bool:
        """Whether the holder has not renewed for a whole duration, by our own clock: others' clocks may be wrong."""
        version = str(lease["metadata"]["resourceVersion"])
        if self._seen[0] != version:
            self._seen = (version, time.monotonic())
            return False
        duration = float(lease["spec"].get("leaseDurationSeconds") or self._duration)
        return time.monotonic() - self._seen[1] > duration

    def _wanted(self, lease: Obj | None) -> Obj:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: Obj = dict(lease["spec"]) if lease else {}
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if lease else 0)
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": self._duration, "renewTime": now}
        if lease:
            return {**lease, "spec": spec}
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }
