"""The operator's Lease: of two operators one works, and only that one writes."""

from __future__ import annotations

from collections.abc import Callable

from fabula_kube.kinds import LEASE
from fabula_kube.lease import Leadership, Pace
from fabula_operator.kube.client import ApiError, Write, WriteGate

DURATION_SECONDS = 6
PACE = Pace(DURATION_SECONDS, renew=1.5, watch=0.75)


class NotLeading(ApiError):
    """The Lease was not renewed in time: another operator may be at work."""

    def __init__(self, write: Write) -> None:
        super().__init__(503, "NotLeading", f"{write.verb} {write.resource} {write.name}: the lease was not renewed")


class LeaderGate:
    """Lets only a leader write, in front of another gate; the Lease itself is what makes one a leader."""

    def __init__(self, gate: WriteGate, leadership: Callable[[], Leadership]) -> None:
        self._gate = gate
        self._leadership = leadership

    async def before(self, write: Write) -> None:
        if write.resource != LEASE.plural and not self._leadership().leading:
            raise NotLeading(write)
        await self._gate.before(write)

    async def after(self, write: Write) -> None:
        await self._gate.after(write)
