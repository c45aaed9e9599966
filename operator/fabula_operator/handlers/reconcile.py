"""One look at one run: plan from the cache, read what the plan rests on besides, plan again if that was anything, act.

Stale, lost, repeated or reordered events cost a read and never a wrong write: see `plan.lifecycle.evidence`.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePath
from typing import Protocol

from fabula_api.status import RunStatus
from fabula_operator.handlers.reports import Reports
from fabula_operator.kube.apply import Applier, ChildRefused, NameTaken
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import ApiError
from fabula_operator.kube.lease import NotLeading
from fabula_operator.kube.observe import Observer
from fabula_operator.kube.sight import see
from fabula_operator.kube.warnings import Heard, Warnings
from fabula_operator.plan.actions import Plan
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.lifecycle.ending import end_unreadable
from fabula_operator.plan.lifecycle.evidence import Evidence, evidence
from fabula_operator.plan.seen.observed import Environment, Observed, Waiting
from fabula_operator.plan.status.significance import only_progress

logger = logging.getLogger(__name__)
SOON_SECONDS = 0.2
ECHO_SECONDS = 2.0
"""How long the watch may take to tell of our own write, before the object is read."""
NAME_TAKEN_SECONDS = 2.0
MAX_ERROR_SECONDS = 60.0


class Watcher(Protocol):
    """Is told of each look, for metrics."""

    def reconciled(self, key: Key, seconds: float, error: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Again:
    """In how many seconds to look again without news; None for not at all."""

    act: float | None = None
    """Something may be to be done then."""
    tell: float | None = None
    """There may be something new to tell then, and nothing to do."""


Planned = tuple[Observed, Plan]
"""What is seen, and the plan that was made of it."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a look has it from what there is."""

    cache: Cache
    """What watches told of."""
    observer: Observer
    """Reads by name, of what the cache may be late with."""
    reports: Reports
    """What workers report."""
    warnings: Warnings
    """Events of what is late."""
    environment: Callable[[], Environment]
    """The installation."""


class Reconciler:
    """Looks at runs, one call for each look; calls for one key must not overlap."""

    def __init__(
        self,
        sources: Sources,
        applier: Applier,
        now: Callable[[], datetime],
        *,
        progress_seconds: float = 10.0,
        watcher: Watcher | None = None,
    ) -> None:
        self._cache = sources.cache
        self._observer = sources.observer
        self._reports = sources.reports
        self._warnings = sources.warnings
        self._environment = sources.environment
        self._applier = applier
        self._now = now
        self._progress_seconds = progress_seconds
        self._watcher = watcher
        self._written: dict[str, datetime] = {}
        self._obstacles: dict[str, Waiting] = {}
        self._errors: dict[Key, int] = {}
        self._raised: dict[Key, tuple[str, int, str]] = {}
        """What the last look raised: the run's uid, its generation, the error's class and place."""
        self._starting = asyncio.Lock()
        self._outdated: set[Key] = set()
        """Runs of which the server has a newer version than we knew."""

    async def look(self, key: Key) -> Again:
        """Reconcile the run; when to look again. Never raises for what the API answers."""
        started = time.monotonic()
        error: str | None = None
        wait: float | None = None
        again = Again()
        try:
            again = await self._look(key)
            self._errors.pop(key, None)
            self._raised.pop(key, None)
        except NameTaken as taken:
            logger.info("%s %s/%s: %s; trying again", *key, taken)
            wait = NAME_TAKEN_SECONDS
        except ChildRefused as refused:
            error = "ChildRefused"
            wait = self._refused(key, refused)
        except NotLeading as held_up:
            # No fault of the run's: it is looked at again as soon as there may be written.
            error, wait = held_up.reason, SOON_SECONDS
        except ApiError as failed:
            error = failed.reason
            if failed.code == 409:
                self._outdated.add(key)
                wait = SOON_SECONDS
            else:
                wait = self._backoff(key, failed)
        except Exception as raised:
            error = type(raised).__name__
            wait = await self._unplanned(key, raised)
        if self._watcher is not None:
            self._watcher.reconciled(key, time.monotonic() - started, error)
        return again if wait is None else Again(act=wait)

    async def _look(self, key: Key) -> Again:
        if (wait := await self._own_writes(key)) is not None:
            return Again(act=wait)
        planned = await self._plan(key)
        if isinstance(planned, Again):
            return planned
        seen, wanted = planned
        if self._quiet(key, wanted):
            self._forget_if_finished(seen.run.identity.uid, seen.run.status)
            return Again(wanted.requeue_after, wanted.retell_after)
        uid = seen.run.identity.uid
        if self._progress_only(seen, wanted) and (left := self._too_soon(uid)) > 0:
            return Again(wanted.requeue_after, min(left, wanted.retell_after or left))
        if not wanted.starts_group:
            planned = await self._proven(key, planned)
        if isinstance(planned, Again):
            return planned
        if planned[1].starts_group:
            # One at a time until the status says what it makes, so that of two runs that would make the same the second
            # one sees the first one's claim.
            async with self._starting:
                planned = await self._proven(key)
                if isinstance(planned, Again):
                    return planned
                await self._applier.tell(key, planned[1], planned[0].run.version)
        else:
            await self._applier.tell(key, planned[1], planned[0].run.version)
        wanted = planned[1]
        await self._applier.act(key, wanted)
        self._written[uid] = self._now()
        if self._obstacles.pop(uid, None) is not None:
            return Again(act=SOON_SECONDS)
        if wanted.status is not None:
            self._forget_if_finished(uid, wanted.status)
            if KINDS[key.kind].attempts(wanted.status) or wanted.queues:
                # What is recorded of attempts decides what is done next; a child in a queue is told of.
                return Again(act=0.0)
        # Else the same plan follows from what was written, so nothing is looked at again for that.
        return Again(wanted.requeue_after, wanted.retell_after)

    async def _own_writes(self, key: Key) -> float | None:
        """See to it that a plan is not made from before our own last write; seconds to wait for that, if any."""
        if key in self._outdated:
            await self._observer.confirm(key, Evidence(run=True))
            self._outdated.discard(key)
        obj = self._cache.get(key)
        uid = obj["metadata"]["uid"] if obj is not None else ""
        if self._cache.own_writes.awaited(uid):
            if (left := ECHO_SECONDS - self._cache.own_writes.since(uid)) > 0:
                return left
            await self._observer.own_writes(key, uid)
        return None

    async def _plan(self, key: Key) -> Planned | Again:
        """What is seen and wanted; only when to look again where there is no such run, or its events are on their
        way."""
        if (seen := self._observe(key)) is None:
            self._warnings.forget(key)
            return Again()
        wanted = plan(seen, self._now())
        heard = await self._warnings.ask(key, wanted.unexplained)
        if heard is Heard.LATER:
            return Again(wanted.requeue_after, wanted.retell_after)
        if heard is Heard.NEWS:
            seen = replace(seen, warnings=self._warnings.known())
            wanted = plan(seen, self._now())
        return seen, wanted

    async def _proven(self, key: Key, first: Planned | None = None) -> Planned | Again:
        """A plan that rests on nothing unread. What is read may change it, and so what it rests on."""
        read, planned = Evidence(), first or await self._plan(key)
        while not isinstance(planned, Again):
            needed = read | evidence(*planned)
            if needed == read or self._quiet(key, planned[1]):
                break
            await self._observer.confirm(key, needed)
            read, planned = needed, await self._plan(key)
        return planned

    async def _unplanned(self, key: Key, raised: Exception) -> float:
        """No plan could be made of what is there. The second time in a row the run ends and says so: silently trying
        again would hold up whoever waits for it, for good."""
        what = f"{type(raised).__name__} in {_place(raised)}"
        # Neither the message nor a whole traceback: both may quote what a worker said.
        logger.error("%s %s/%s: no plan can be made: %s", *key, what)
        try:
            if (seen := self._observe(key)) is None or seen.run.status.finished_at is not None:
                return MAX_ERROR_SECONDS
            mark = (seen.run.identity.uid, seen.run.generation, what)
            if self._raised.get(key) != mark:
                self._raised[key] = mark
                return SOON_SECONDS
            await self._applier.apply(key, end_unreadable(seen, type(raised).__name__, self._now()), seen.run.version)
        except Exception as again:
            logger.error("%s %s/%s: nor can it be ended: %s in %s", *key, type(again).__name__, _place(again))
            return MAX_ERROR_SECONDS
        return SOON_SECONDS

    def _observe(self, key: Key) -> Observed | None:
        obj = self._cache.get(key)
        if obj is None:
            self._errors.pop(key, None)
            self._raised.pop(key, None)
            return None
        uid = obj["metadata"]["uid"]
        seen = see(self._cache, key, self._environment(), self._reports.of(uid), self._obstacles.get(uid))
        return None if seen is None else replace(seen, warnings=self._warnings.known())

    def _quiet(self, key: Key, wanted: Plan) -> bool:
        return not wanted.actions and (wanted.status is None or self._applier.settled(key, wanted.status))

    @staticmethod
    def _progress_only(seen: Observed, wanted: Plan) -> bool:
        return not wanted.actions and wanted.status is not None and only_progress(seen.run.status, wanted.status)

    def _too_soon(self, uid: str) -> float:
        """Seconds until progress may be written again."""
        last = self._written.get(uid)
        return self._progress_seconds - (self._now() - last).total_seconds() if last else 0.0

    def _forget_if_finished(self, uid: str, status: RunStatus) -> None:
        if status.finished_at is not None:
            self._reports.forget(uid)
            self._written.pop(uid, None)

    def _refused(self, key: Key, refused: ChildRefused) -> float:
        """Say on the run that its child is refused, and try again later: a quota may be raised meanwhile."""
        logger.warning("%s %s/%s: %s", *key, refused.message)
        obj = self._cache.get(key)
        if obj is None:
            return SOON_SECONDS
        uid = obj["metadata"]["uid"]
        known = self._obstacles.get(uid)
        self._obstacles[uid] = Waiting("ChildRefused", refused.message[:1000])
        self._errors[key] = self._errors.get(key, 0) + 1
        # The first time, look again at once so that the status says it.
        return SOON_SECONDS if known is None else min(MAX_ERROR_SECONDS, 2.0 ** self._errors[key])

    def _backoff(self, key: Key, error: ApiError) -> float:
        self._errors[key] = self._errors.get(key, 0) + 1
        delay = error.retry_after or min(MAX_ERROR_SECONDS, 0.5 * 2.0 ** self._errors[key])
        logger.warning("%s %s/%s: %s; trying again in %.1f s", *key, error, delay)
        return delay


def _place(error: BaseException) -> str:
    """Where an error was raised, as `results.py:72`."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no place"
