"""One look at one run: plan from the cache; when that asks for more than progress, plan again from live reads and act.

No action rests on a watch event alone: stale, lost, repeated or reordered events cost a read and never a wrong write.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import PurePath
from typing import Protocol

from fabula_operator.handlers.reports import Reports
from fabula_operator.kube.apply import Applier, ChildRefused, NameTaken
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import ApiError
from fabula_operator.kube.observe import Observer
from fabula_operator.kube.warnings import Warnings
from fabula_operator.plan.actions import Plan
from fabula_operator.plan.ending import end_unreadable
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.observed import Environment, Observed, Waiting
from fabula_operator.plan.significance import only_progress

logger = logging.getLogger(__name__)
SOON_SECONDS = 0.2
NAME_TAKEN_SECONDS = 2.0
MAX_ERROR_SECONDS = 60.0


class Watcher(Protocol):
    """Is told of each look, for metrics."""

    def reconciled(self, key: Key, seconds: float, error: str | None) -> None: ...


class Reconciler:
    """Looks at runs, one call for each look; calls for one key must not overlap."""

    def __init__(
        self,
        cache: Cache,
        observer: Observer,
        applier: Applier,
        reports: Reports,
        warnings: Warnings,
        environment: Callable[[], Environment],
        now: Callable[[], datetime],
        *,
        progress_seconds: float = 10.0,
        watcher: Watcher | None = None,
    ) -> None:
        self._cache = cache
        self._observer = observer
        self._applier = applier
        self._reports = reports
        self._warnings = warnings
        self._environment = environment
        self._now = now
        self._progress_seconds = progress_seconds
        self._watcher = watcher
        self._written: dict[str, datetime] = {}
        self._obstacles: dict[str, Waiting] = {}
        self._errors: dict[Key, int] = {}
        self._raised: dict[Key, tuple[str, int, str]] = {}
        """What the last look raised: the run's uid, its generation, the error's class and place."""
        self._starting = asyncio.Lock()

    async def look(self, key: Key, *, live: bool = False) -> float | None:
        """Reconcile the run; seconds after which to look again, or None. Never raises for what the API answers.

        `live` reads everything of the run first, as the periodic resync does.
        """
        started = time.monotonic()
        error: str | None = None
        try:
            again = await self._look(key, live)
            self._errors.pop(key, None)
            self._raised.pop(key, None)
        except NameTaken as taken:
            logger.info("%s %s/%s: %s; trying again", *key, taken)
            again = NAME_TAKEN_SECONDS
        except ChildRefused as refused:
            error = "ChildRefused"
            again = self._refused(key, refused)
        except ApiError as failed:
            error = failed.reason
            again = SOON_SECONDS if failed.code == 409 else self._backoff(key, failed)
        except Exception as raised:
            error = type(raised).__name__
            again = await self._unplanned(key, raised)
        if self._watcher is not None:
            self._watcher.reconciled(key, time.monotonic() - started, error)
        return again

    async def _look(self, key: Key, live: bool) -> float | None:
        if live:
            await self._observer.run(key)
        seen = self._observe(key)
        if seen is None:
            return None
        uid = seen.run.identity.uid
        wanted = plan(seen, self._now())
        if await self._warnings.ask(key.namespace, wanted.unexplained):
            seen = replace(seen, warnings=self._warnings.known())
            wanted = plan(seen, self._now())
        if self._quiet(key, wanted):
            self._forget_if_finished(seen)
            return wanted.requeue_after
        if self._progress_only(seen, wanted):
            if (left := self._too_soon(uid)) > 0:
                return min(left, wanted.requeue_after or left)
        elif not live:
            await self._observer.run(key)
            seen = self._observe(key)
            if seen is None:
                return None
            wanted = plan(seen, self._now())
            if self._quiet(key, wanted):
                return wanted.requeue_after
        if wanted.starts_group:
            # One at a time, so that of two runs that would make the same the second one sees the first one's claim.
            async with self._starting:
                if (seen := self._observe(key)) is None:
                    return None
                wanted = plan(seen, self._now())
                await self._applier.apply(key, wanted)
        else:
            await self._applier.apply(key, wanted)
        self._written[uid] = self._now()
        if self._obstacles.pop(uid, None) is not None:
            return SOON_SECONDS
        return wanted.requeue_after

    async def _unplanned(self, key: Key, raised: Exception) -> float:
        """No plan could be made of what is there. The second time in a row the run ends and says so: silently trying
        again would hold up whoever waits for it, for good."""
        told = f"{type(raised).__name__} in {_place(raised)}"
        # Neither the message nor a whole traceback: both may quote what a worker said.
        logger.error("%s %s/%s: no plan can be made: %s", *key, told)
        try:
            if (seen := self._observe(key)) is None or seen.run.status.finished_at is not None:
                return MAX_ERROR_SECONDS
            mark = (seen.run.identity.uid, seen.run.generation, told)
            if self._raised.get(key) != mark:
                self._raised[key] = mark
                return SOON_SECONDS
            await self._applier.apply(key, end_unreadable(seen, type(raised).__name__, self._now()))
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
        found = self._cache.observed(key, self._environment(), self._reports.of(uid), self._obstacles.get(uid))
        return None if found is None else replace(found, warnings=self._warnings.known())

    def _quiet(self, key: Key, wanted: Plan) -> bool:
        return not wanted.actions and (wanted.status is None or self._applier.settled(key, wanted.status))

    @staticmethod
    def _progress_only(seen: Observed, wanted: Plan) -> bool:
        return not wanted.actions and wanted.status is not None and only_progress(seen.run.status, wanted.status)

    def _too_soon(self, uid: str) -> float:
        """Seconds until progress may be written again."""
        last = self._written.get(uid)
        return self._progress_seconds - (self._now() - last).total_seconds() if last else 0.0

    def _forget_if_finished(self, seen: Observed) -> None:
        if seen.run.status.finished_at is not None:
            self._reports.forget(seen.run.identity.uid)
            self._written.pop(seen.run.identity.uid, None)

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
