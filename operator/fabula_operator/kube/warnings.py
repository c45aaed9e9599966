"""Why children have no pods, and pods do not start: their newest Warning events, asked for rarely.

Events are many and short-lived, so they are not watched: one list by field selector once something is late, and then at
most one in a minute. Each such list costs the server a look at all events of the namespace, so where many are late
together, as in a queue that is full, one list of all its Warnings serves them for that minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fabula_api.outside import plain
from fabula_operator.kube.client import Api, ApiError
from fabula_operator.kube.resources import EVENT, Obj
from fabula_operator.plan.seen.observed import Said, Subject
from fabula_operator.plan.times import parse_time

logger = logging.getLogger(__name__)
PAGE = 250
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
MOST = 10_000
"""Objects that are remembered."""
CROWD = 8
"""Objects of one namespace that are asked about one by one within a minute; with more, one list serves all."""


@dataclass(slots=True)
class _Namespace:
    """What was read of one namespace lately."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    singly: deque[datetime] = field(default_factory=deque)
    """When single objects were asked about."""
    read: datetime = _LONG_AGO
    """When all of its Warnings were."""
    newest: dict[str, Said] = field(default_factory=dict)
    """By the object's uid."""


class Warnings:
    """What was last heard of objects that are late."""

    def __init__(self, api: Api, now: Callable[[], datetime], seconds: float) -> None:
        self._api = api
        self._now = now
        self._interval = timedelta(seconds=seconds)
        self._known: dict[str, tuple[datetime, Said | None]] = {}
        self._namespaces: dict[str, _Namespace] = {}
        self._complained = False

    def known(self) -> Mapping[str, Said | None]:
        """The newest Warning event by the object's uid; None for one that has none."""
        return _Answers(self._known)

    async def ask(self, namespace: str, subjects: Iterable[Subject]) -> bool:
        """Read the events of those that were not asked about lately; whether there is news."""
        news = False
        for subject in subjects:
            asked = self._known.get(subject.uid)
            if asked is not None and self._now() - asked[0] < self._interval:
                continue
            at, said = self._now(), None
            try:
                at, said = await self._said(namespace, subject)
            except ApiError as error:
                if error.code != 403:
                    raise
                if not self._complained:
                    self._complained = True
                    logger.warning("events cannot be read, so that runs cannot say why they wait: %s", error)
            self._known.pop(subject.uid, None)
            self._known[subject.uid] = (at, said)
            while len(self._known) > MOST:
                del self._known[next(iter(self._known))]
            news = news or asked is None or asked[1] != said
        return news

    async def _said(self, namespace: str, subject: Subject) -> tuple[datetime, Said | None]:
        """When the newest Warning was read, and which it was."""
        place = self._namespaces.setdefault(namespace, _Namespace())
        async with place.lock:
            now = self._now()
            if now - place.read < self._interval:
                return place.read, place.newest.get(subject.uid)
            while place.singly and now - place.singly[0] >= self._interval:
                place.singly.popleft()
            if len(place.singly) < CROWD:
                place.singly.append(now)
                found = [one async for one in self._events(namespace, f"involvedObject.uid={subject.uid},type=Warning")]
                return now, newest(found)
            told: dict[str, list[Obj]] = {}
            async for event in self._events(namespace, "type=Warning"):
                told.setdefault(str((event.get("involvedObject") or {}).get("uid")), []).append(event)
            place.newest = {uid: said for uid, events in told.items() if (said := newest(events)) is not None}
            place.read = now
            return now, place.newest.get(subject.uid)

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
    at, event = max(dated, key=lambda one: one[0] or _LONG_AGO)
    return Said(plain(str(event.get("reason") or "Warning")), plain(str(event.get("message") or "")), at)


def _seen_at(event: Obj) -> datetime | None:
    """A recurring event has its last time in a series, one of the older API in lastTimestamp."""
    series = event.get("series") or {}
    text = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return parse_time(text or event["metadata"].get("creationTimestamp"))
