"""Leadership on virtual time: a killed leader is followed soon, and nobody writes who may have been followed."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from tests.support.virtual_time import in_virtual_time

from fabula_kube.lease import Leadership
from fabula_operator.kube.client import Api, ApiError, OpenGate, Write
from fabula_operator.kube.lease import PACE, LeaderGate, NotLeading
from fabula_operator.kube.resources import Obj, Resource

JOB = Write("create", "jobs", "team", "data-ingest")


class OneLease(Api):
    """An API server that holds one Lease, and may be away."""

    def __init__(self) -> None:
        self.lease: Obj | None = None
        self.version = 0
        self.reads = 0
        self.away = False
        self.hangs = False

    async def _answers(self) -> None:
        if self.hangs:
            await asyncio.sleep(3600)
        if self.away:
            raise ApiError(503, "NoAnswer", "GET lease: ConnectError")

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        self.reads += 1
        await self._answers()
        return self.lease

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        assert self.lease is None
        return self._store(obj)

    async def replace(self, resource: Resource, obj: Obj) -> Obj:
        await self._answers()
        assert self.lease is not None
        if obj["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        return self._store(obj)

    def _store(self, obj: Obj) -> Obj:
        self.version += 1
        self.lease = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        return self.lease

    @property
    def holder(self) -> str:
        assert self.lease is not None
        return str(self.lease["spec"]["holderIdentity"])


def member(api: Api, name: str) -> Leadership:
    return Leadership(api, "default", "fabula-operator", name, PACE, clock=lambda: asyncio.get_running_loop().time())


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("killed_after", [0.1, 1.4, 1.6, 7.3])
@in_virtual_time
async def test_a_killed_leader_is_followed_within_8_s_and_never_while_it_may_write(
    killed_after: float,
) -> None:
    loop, api = asyncio.get_running_loop(), OneLease()
    first, second = member(api, "first"), member(api, "second")
    await first.acquire()
    keeping, waiting = asyncio.create_task(first.keep()), asyncio.create_task(second.acquire())
    await asyncio.sleep(killed_after)
    await ended(keeping)
    killed = loop.time()
    while not waiting.done():
        assert not (first.leading and second.leading)
        await asyncio.sleep(0.05)
    assert not first.leading
    assert loop.time() - killed < 8
    assert api.holder == "second"


@pytest.mark.parametrize("way", ["away", "hangs"])
@in_virtual_time
async def test_who_cannot_renew_writes_nothing_and_goes_on_when_nobody_took_the_lease(way: str) -> None:
    api = OneLease()
    leader = member(api, "first")
    gate = LeaderGate(OpenGate(), lambda: leader)
    await leader.acquire()
    keeping = asyncio.create_task(leader.keep())
    await asyncio.sleep(10)
    await gate.before(JOB)
    assert api.reads == 1, "who has the lease renews it by one write"
    await leader.led()
    setattr(api, way, True)
    await asyncio.sleep(6)
    with pytest.raises(NotLeading):
        await gate.before(JOB)
    held_up = asyncio.create_task(leader.led())
    await gate.before(Write("update", "leases", "default", "fabula-operator"))
    await asyncio.sleep(1)
    assert not held_up.done()
    setattr(api, way, False)
    await asyncio.sleep(6)
    await held_up
    await gate.before(JOB)
    assert not keeping.done()
    await ended(keeping)


@in_virtual_time
async def test_a_process_that_was_stopped_may_not_write_when_it_goes_on() -> None:
    """The first thing that runs then need not be the renewal; so the clock is asked before each write."""
    api, now = OneLease(), [0.0]
    leader = Leadership(api, "default", "fabula-operator", "first", PACE, clock=lambda: now[0])
    await leader.acquire()
    assert leader.leading
    now[0] += 5
    assert not leader.leading


@pytest.mark.parametrize("given_back", [False, True])
@in_virtual_time
async def test_the_lease_that_another_had_meanwhile_is_lost_also_when_it_was_given_back(given_back: bool) -> None:
    api = OneLease()
    first, second = member(api, "first"), member(api, "second")
    await first.acquire()
    await second_takes_it(api, second)
    if given_back:
        await second.release()
    await asyncio.wait_for(first.keep(), 60)
    assert not first.leading


async def second_takes_it(api: OneLease, second: Leadership) -> None:
    """The first one's renewals do not come for a while."""
    await asyncio.wait_for(second.acquire(), 60)
    assert api.holder == "second"
