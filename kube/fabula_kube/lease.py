"""Who works of several processes: the one that holds a Lease; the others wait until it is gone.

Who has not renewed for a while stops writing, for certain before another may begin. If nobody took the Lease meanwhile,
as when the API server was away, the work goes on as if nothing had been.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from fabula_kube.errors import ApiError
from fabula_kube.kinds import LEASE
from fabula_kube.resource import Obj, Resource

logger = logging.getLogger(__name__)


class Leases(Protocol):
    """What is asked of an API server. Raises ApiError, or OSError where no answer comes."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        """The object, or None."""

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        """Create the object; the stored one."""

    async def replace(self, resource: Resource, obj: Obj) -> Obj:
        """PUT the object; a stale resourceVersion is ApiError 409."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of an election."""

    duration: int
    """A killed leader's work is taken up so long after its last renewal, and a look of the other's later."""
    renew: float
    watch: float
    """How often one that waits looks at the Lease."""


class Leadership:
    """Holds, or waits for, one Lease. After `acquire`, run `keep` beside the work; it ends when the Lease is lost."""

    def __init__(
        self,
        api: Leases,
        namespace: str,
        name: str,
        identity: str,
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._duration = pace.duration
        self._pace = pace
        self._clock = clock
        self._seen: tuple[str, float] = ("", 0.0)
        self._lease: Obj | None = None
        """As we wrote it last."""
        self._again = asyncio.Event()
        self._renewed: float | None = None
        """When the last renewal that came through was sent; None while the Lease is another's."""

    @property
    def leading(self) -> bool:
        """Whether no other operator can be at work, by our own clock: also right after this process was stopped."""
        return self._renewed is not None and self._clock() - self._renewed < self._duration * 2 / 3

    async def led(self) -> None:
        """Wait until no other operator can be at work, if that is not so now."""
        while not self.leading:
            self._again.clear()
            await self._again.wait()

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        named = ""
        while True:
            holder = await self._try()
            if holder == self._identity:
                logger.info("leading as %s", self._identity)
                return
            if holder != named:
                logger.info("waiting for the lease %s/%s, held by %s", self._namespace, self._name, holder or "nobody")
                named = holder
            await asyncio.sleep(self._pace.watch)

    async def keep(self) -> None:
        """Renew the Lease until another operator has it."""
        paused = False
        while True:
            await asyncio.sleep(self._pace.renew)
            holder = await self._try()
            if holder and holder != self._identity:
                break
            if paused is self.leading:
                paused = not self.leading
                logger.warning(
                    "the lease %s/%s %s", self._namespace, self._name,
                    "could not be renewed: nothing is written until it is" if paused else "is renewed again",
                )  # fmt: skip
        self._renewed = None
        logger.error("lost the lease %s/%s to %s", self._namespace, self._name, holder)

    async def release(self) -> None:
        """Give the Lease back, so that the next operator need not wait for it to run out."""
        if not self.leading:
            return
        self._renewed = None
        try:
            lease = await self._api.get(LEASE, self._namespace, self._name)
            if lease and lease["spec"].get("holderIdentity") == self._identity:
                await self._api.replace(LEASE, {**lease, "spec": {**lease["spec"], "holderIdentity": ""}})
        except (ApiError, OSError) as error:
            logger.warning("the lease stays until it runs out: %s", error)

    async def _try(self) -> str:
        """Take or renew the Lease if that is allowed; its holder afterwards, empty when the API did not answer."""
        started = self._clock()
        try:
            # An answer that comes later than that says nothing any more.
            async with asyncio.timeout(self._duration * 2 / 3):
                holder = await self._take()
        except TimeoutError:
            return ""
        except (ApiError, OSError) as error:
            if not (isinstance(error, ApiError) and error.conflict):
                logger.warning("lease %s/%s: %s", self._namespace, self._name, error)
            return ""
        if holder == self._identity:
            self._renewed = started
            self._again.set()
        return holder

    async def _take(self) -> str:
        if (ours := self._lease) is not None:
            self._lease = None
            try:
                # Refused if anybody has written it since.
                self._lease = await self._api.replace(LEASE, self._wanted(ours))
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
            else:
                return self._identity
        lease = await self._api.get(LEASE, self._namespace, self._name)
        if lease is None:
            self._lease = await self._api.create(LEASE, self._wanted(None))
            return self._identity
        holder = str(lease["spec"].get("holderIdentity") or "")
        if holder != self._identity:
            if self._renewed is not None:
                # Another one has had it since: what it did is not known here.
                return holder or "another operator, which gave it back"
            if holder and not self._run_out(lease):
                return holder
        self._lease = await self._api.replace(LEASE, self._wanted(lease))
        return self._identity

    def _run_out(self, lease: Obj) -> bool:
        """Whether the holder has not renewed for a whole duration, by our own clock: others' clocks may be wrong."""
        version = str(lease["metadata"]["resourceVersion"])
        if self._seen[0] != version:
            self._seen = (version, self._clock())
            return False
        duration = float(lease["spec"].get("leaseDurationSeconds") or self._duration)
        return self._clock() - self._seen[1] > duration

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
