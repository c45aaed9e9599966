"""Why children have no pods, and pods do not start: their newest Warning events, asked for rarely.

Events are many and short-lived, so they are not watched: one list by field selector once something is late, and then at
most one in a minute. Each such list costs the server a look at all events of the namespace, so where many are late
together, as in a queue that is full, one list of all its Warnings serves them for that minute. It may be long, so no
look waits for it: the run is looked at again once it is there. What stays late is asked about by itself from then on,
and its run is looked at only for news: ten thousand that wait cost no look.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any

from fabula_api.outside import plain
from fabula_operator.kube.cache import Key
from fabula_operator.kube.client import Api, ApiError
from fabula_operator.kube.resources import EVENT, Obj
from fabula_operator.plan.seen.observed import Said, Subject
from fabula_operator.plan.times import parse_time

logger = logging.getLogger(__name__)
PAGE = 250
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
MOST = 50_000
"""Objects that are remembered."""
CROWD = 8
"""Objects of one namespace that are asked about one by one within a minute; with more, one list serves all."""
LISTS = 2
"""Such lists at once."""
ROUNDS = 4
"""How often in a minute it is seen to whether something is to be asked again."""
AT_ONCE = 100
"""Runs that are gone through without a pause for others."""


class Heard(Enum):
    """What asking brought."""

    NOTHING = auto()
    """Nothing that was not known."""
    NEWS = auto()
    LATER = auto()
    """Nothing is known yet of some, and the run is looked at again once it is."""


@dataclass(slots=True)
class _Namespace:
    """What was read of one namespace lately."""

    singly: deque[datetime] = field(default_factory=deque)
    """When single objects were asked about."""
    read: datetime = _LONG_AGO
    """When all of its Warnings were."""
    newest: dict[str, Said] = field(default_factory=dict)
    """By the object's uid."""
    reading: asyncio.Task[None] | None = None
    waiting: dict[str, Key] = field(default_factory=dict)
    """Objects about which the list that is on its way may tell something new, and their runs."""


class Warnings:
    """What was last heard of objects that are late."""

    def __init__(self, api: Api, now: Callable[[], datetime], seconds: float, again: Callable[[Key], object]) -> None:
        """`again` is told of runs of whose objects a list has told something new."""
        self._api = api
        self._now = now
        self._interval = timedelta(seconds=seconds)
        self._again = again
        self._known: dict[str, tuple[datetime, Said | None]] = {}
        self._late: dict[Key, tuple[Subject, ...]] = {}
        """What is late of which runs, as their last looks found."""
        self._namespaces: dict[str, _Namespace] = {}
        self._lists = asyncio.Semaphore(LISTS)
        self._complained = False

    def known(self) -> Mapping[str, Said | None]:
        """The newest Warning event by the object's uid; None for one that has none."""
        return _Answers(self._known)

    async def ask(self, run: Key, subjects: Iterable[Subject]) -> Heard:
        """Read the events of those of a run's objects that were not asked about lately, and go on asking until the run
        is asked about with others or none. Raises ApiError."""
        self.forget(run)
        if late := tuple(subjects):
            self._late[run] = late
        return await self._ask(run, late)

    def forget(self, run: Key) -> None:
        """Nothing of the run is late any more."""
        self._late.pop(run, None)

    async def keep_asking(self) -> None:
        """Ask about what stays late, for ever; runs of which that brings news are looked at again."""
        while True:
            await asyncio.sleep(self._interval.total_seconds() / ROUNDS)
            await self.ask_again()

    async def ask_again(self) -> None:
        """Ask about all that is late and was not asked about lately."""
        for number, (run, subjects) in enumerate(list(self._late.items())):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                heard = await self._ask(run, subjects)
            except ApiError as error:
                logger.warning("events of %s/%s cannot be read now: %s", run.namespace, run.name, error)
                continue
            if heard is Heard.NEWS:
                self._again(run)

    async def _ask(self, run: Key, subjects: Iterable[Subject]) -> Heard:
        heard = Heard.NOTHING
        for subject in subjects:
            asked, place = self._known.get(subject.uid), self._namespaces.setdefault(run.namespace, _Namespace())
            if asked is not None and self._now() - asked[0] < self._interval:
                continue
            if self._now() - place.read < self._interval:
                self._remember(subject.uid, place.read, place.newest.get(subject.uid))
            elif place.reading is None and self._may_ask_singly(place):
                await self._ask_singly(run.namespace, subject)
            else:
                place.waiting[subject.uid] = run
                place.reading = place.reading or asyncio.create_task(self._all(run.namespace, place))
            if subject.uid not in self._known:
                heard = Heard.LATER
            elif heard is Heard.NOTHING and (asked is None or asked[1] != self._known[subject.uid][1]):
                heard = Heard.NEWS
        return heard

    async def settle(self) -> None:
        """Wait for the lists that are on their way."""
        await asyncio.gather(*self._reading())

    async def close(self) -> None:
        """Wait for nothing any more."""
        reading = self._reading()
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def _reading(self) -> list[asyncio.Task[None]]:
        return [namespace.reading for namespace in self._namespaces.values() if namespace.reading is not None]

    def _may_ask_singly(self, place: _Namespace) -> bool:
        now = self._now()
        while place.singly and now - place.singly[0] >= self._interval:
            place.singly.popleft()
        if len(place.singly) >= CROWD:
            return False
        place.singly.append(now)
        return True

    async def _ask_singly(self, namespace: str, subject: Subject) -> None:
        at, said = self._now(), None
        try:
            selector = f"involvedObject.uid={subject.uid},type=Warning"
            said = newest([event async for event in self._events(namespace, selector)])
        except ApiError as error:
            if error.code != 403:
                raise
            self._complain(error)
        self._remember(subject.uid, at, said)

    async def _all(self, namespace: str, place: _Namespace) -> None:
        """One list for all that wait. Where it fails, they are told what is known, and ask again in a while."""
        at, by_subject = self._now(), dict[str, list[Obj]]()
        try:
            async with self._lists:
                async for event in self._events(namespace, "type=Warning"):
                    by_subject.setdefault(str((event.get("involvedObject") or {}).get("uid")), []).append(event)
            place.newest = {uid: said for uid, events in by_subject.items() if (said := newest(events)) is not None}
        except ApiError as error:
            self._complain(error)
        finally:
            place.read, place.reading = at, None
            waiting, place.waiting = place.waiting, {}
        for uid, run in waiting.items():
            asked, said = self._known.get(uid), place.newest.get(uid)
            self._remember(uid, at, said)
            if asked is None or asked[1] != said:
                self._again(run)

    def _complain(self, error: ApiError) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("events cannot be read, so that runs cannot say why they wait: %s", error)

    def _remember(self, uid: str, at: datetime, said: Said | None) -> None:
        self._known.pop(uid, None)
        self._known[uid] = (at, said)
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    async def _events(self, namespace: str, selector: str) -> AsyncIterator[Obj]:
        params = {"fieldSelector": selector, "limit": str(PAGE)}
        while True:
            page = await self._api.request("GET", EVENT.path(namespace), params=params)
            for event in page.get("items") or ():
                yield event
            if not (token := page["metadata"].get("continue")):
                return
            params["continue"] = token


class _Answers(Mapping[str, "Said | None"]):
    """The answers alone, without a copy for each look."""

    def __init__(self, known: dict[str, tuple[datetime, Said | None]]) -> None:
        self._known = known

    def __getitem__(self, uid: str) -> Said | None:
        return self._known[uid][1]

    def __iter__(self) -> Any:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def newest(events: Iterable[Obj]) -> Said | None:
    """The event that was last seen, whichever of the API's times says so."""
    dated = [(_seen_at(event), event) for event in events]
    if not dated:
        return None
    at, event = max(dated, key=lambda dated_event: dated_event[0] or _LONG_AGO)
    return Said(plain(str(event.get("reason") or "Warning")), plain(str(event.get("message") or "")), at)


def _seen_at(event: Obj) -> datetime | None:
    """A recurring event has its last time in a series, one of the older API in lastTimestamp."""
    series = event.get("series") or {}
    text = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return parse_time(text or event["metadata"].get("creationTimestamp"))
