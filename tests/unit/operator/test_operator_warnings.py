"""The newest Warning event of what is late: one list by field selector, and at most one in a minute."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from fabula_kube.connection import Answer
from fabula_operator.kube.cache import Key
from fabula_operator.kube.client import Api, ApiError
from fabula_operator.kube.warnings import CROWD, Heard, Warnings, newest
from fabula_operator.plan.seen.observed import Said, Subject
from fabula_operator.rights import CLUSTER_RULES

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
JOB = Subject("Job", "data-ingest", "u1")
RUN = Key("DatasetBuild", "team", "data")


def event(reason: str, message: str = "words", **times: Any) -> dict[str, Any]:
    made = times.pop("made", "2026-03-01T11:00:00Z")
    return {"metadata": {"creationTimestamp": made}, "reason": reason, "message": message, **times}


class Server:
    """Answers lists of events, page by page."""

    def __init__(self, *pages: list[dict[str, Any]], status: int = 200) -> None:
        self.pages = list(pages)
        self.status = status
        self.asked: list[dict[str, str]] = []
        self.now = NOW
        self.again: list[Key] = []

    async def ask(
        self, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        assert (method, path, body) == ("GET", "/api/v1/namespaces/team/events", None)
        self.asked.append(dict(params))
        if self.status != 200:
            return Answer(self.status, {}, orjson.dumps({"reason": "Forbidden", "message": "no"}))
        page = int(params.get("continue") or 0)
        more = {"continue": str(page + 1)} if page + 1 < len(self.pages) else {}
        return Answer(200, {}, orjson.dumps({"metadata": more, "items": self.pages[page]}))

    async def close(self) -> None:
        return None

    def warnings(self) -> Warnings:
        return Warnings(Api(self), lambda: self.now, 60.0, self.again.append)


async def test_an_object_is_asked_about_by_its_uid_and_not_again_for_a_minute() -> None:
    server = Server([event("FailedCreate")])
    warnings = server.warnings()
    assert JOB.uid not in warnings.known()
    assert await warnings.ask(RUN, [JOB]) is Heard.NEWS
    assert warnings.known()["u1"] == Said("FailedCreate", "words", NOW - timedelta(hours=1))
    assert await warnings.ask(RUN, [JOB]) is Heard.NOTHING
    assert [one["fieldSelector"] for one in server.asked] == ["involvedObject.uid=u1,type=Warning"]
    server.now += timedelta(seconds=60)
    assert await warnings.ask(RUN, [JOB]) is Heard.NOTHING, "the same is no news"
    server.pages, server.now = [[]], server.now + timedelta(seconds=60)
    assert await warnings.ask(RUN, [JOB]) is Heard.NEWS
    assert warnings.known()["u1"] is None
    assert len(server.asked) == 3


async def test_nothing_is_asked_for_where_nothing_is_late() -> None:
    server = Server([])
    assert await server.warnings().ask(RUN, []) is Heard.NOTHING
    assert server.asked == []


async def test_all_pages_are_read() -> None:
    server = Server([event("Old")], [event("New", lastTimestamp="2026-03-01T11:59:00Z")])
    warnings = server.warnings()
    await warnings.ask(RUN, [JOB])
    said = warnings.known()["u1"]
    assert said is not None
    assert said.reason == "New"


def words(warnings: Warnings, uid: str) -> tuple[str, str]:
    """Reason and message that are known."""
    said = warnings.known()[uid]
    assert said is not None
    return said.reason, said.message


def crowd(count: int) -> dict[Key, Subject]:
    return {Key("DatasetBuild", "team", f"run-{one}"): Subject("Job", f"data-{one}", f"u{one}") for one in range(count)}


async def test_a_crowd_is_served_by_one_list_a_minute_and_no_look_waits_for_it() -> None:
    """Ten thousand late runs, and the server reads its events nine times in a minute, not ten thousand; meanwhile a new
    run has its Job."""
    server = Server([event("Full", f"of u{number}", involvedObject={"uid": f"u{number}"}) for number in range(30)])
    warnings, runs = server.warnings(), crowd(30)
    late = Key("DatasetBuild", "team", "late")
    for number, (run, subject) in enumerate(runs.items()):
        assert await warnings.ask(run, [subject]) is (Heard.NEWS if number < CROWD else Heard.LATER)
    assert len(server.asked) == CROWD, "the list is on its way"
    await warnings.settle()
    assert server.again == list(runs)[CROWD:]
    assert [one["fieldSelector"] for one in server.asked].count("type=Warning") == 1
    assert len(server.asked) == CROWD + 1
    for number in range(CROWD, 30):
        assert words(warnings, f"u{number}") == ("Full", f"of u{number}")
    assert await warnings.ask(late, [Subject("Job", "data-late", "u99")]) is Heard.NEWS
    assert warnings.known()["u99"] is None

    server.pages[0].append(event("Quota", involvedObject={"uid": "u99"}))
    server.now += timedelta(seconds=60)
    server.again.clear()
    for run, subject in [*runs.items(), (late, Subject("Job", "data-late", "u99"))]:
        assert await warnings.ask(run, [subject]) is Heard.NOTHING, "what was known goes for now"
    await warnings.settle()
    assert server.again == [late], "of the others the list told nothing new"
    assert words(warnings, "u99") == ("Quota", "words")
    assert len(server.asked) == 2 * (CROWD + 1)


async def test_what_stays_late_is_asked_about_without_a_look_and_news_bring_one() -> None:
    server = Server([])
    warnings, runs = server.warnings(), crowd(CROWD + 20)
    for run, subject in runs.items():
        await warnings.ask(run, [subject])
    await warnings.settle()
    server.again.clear()
    gone, mended = list(runs)[:2]
    warnings.forget(gone)
    await warnings.ask(mended, [])
    asked = len(server.asked)
    await warnings.ask_again()
    assert len(server.asked) == asked, "each was asked about a moment ago"

    server.pages = [[event("Quota", involvedObject={"uid": f"u{number}"}) for number in (0, 1, 20)]]
    server.now += timedelta(seconds=60)
    await warnings.ask_again()
    await warnings.settle()
    singly = list(runs)[2 : 2 + CROWD]
    assert server.again == [*singly, list(runs)[20]], "the stand-in tells whoever is asked about singly of these events"
    assert words(warnings, "u20") == ("Quota", "words")
    assert warnings.known()["u0"] is warnings.known()["u1"] is None
    assert len(server.asked) == asked + CROWD + 1


async def test_a_server_that_fails_is_asked_again_later() -> None:
    server = Server([event("FailedCreate")])
    warnings = server.warnings()
    await warnings.ask(RUN, [JOB])
    server.status, server.now = 500, server.now + timedelta(seconds=60)
    await warnings.ask_again()
    server.status, server.pages = 200, [[event("Quota")]]
    await warnings.ask_again()
    assert (words(warnings, "u1"), server.again) == (("Quota", "words"), [RUN])


async def test_a_crowd_whose_list_fails_is_told_nothing_and_asks_again_in_a_minute() -> None:
    server = Server([])
    warnings, runs = server.warnings(), crowd(CROWD + 2)
    for number, (run, subject) in enumerate(runs.items()):
        server.status = 200 if number < CROWD else 500
        await warnings.ask(run, [subject])
    await warnings.settle()
    assert server.again == list(runs)[CROWD:]
    asked = len(server.asked)
    assert [await warnings.ask(run, [subject]) for run, subject in runs.items()] == [Heard.NOTHING] * len(runs)
    assert len(server.asked) == asked
    server.status, server.now = 200, server.now + timedelta(seconds=60)
    server.pages = [[event("Full", involvedObject={"uid": f"u{CROWD}"})]]
    for run, subject in runs.items():
        await warnings.ask(run, [subject])
    await warnings.settle()
    assert words(warnings, f"u{CROWD}") == ("Full", "words")


async def test_without_the_right_a_run_still_says_what_its_status_tells() -> None:
    warnings = Server(status=403).warnings()
    assert await warnings.ask(RUN, [JOB]) is Heard.NEWS
    assert warnings.known()["u1"] is None


async def test_a_server_that_does_not_answer_is_asked_again() -> None:
    server = Server(status=500)
    warnings = server.warnings()
    with pytest.raises(ApiError):
        await warnings.ask(RUN, [JOB])
    assert JOB.uid not in warnings.known()


@pytest.mark.parametrize(
    "latest",
    [
        event("New", lastTimestamp="2026-03-01T11:30:00Z"),
        event("New", eventTime="2026-03-01T11:30:00.123456Z", lastTimestamp=None),
        event("New", eventTime="2026-03-01T10:00:00Z", series={"lastObservedTime": "2026-03-01T11:30:00Z"}),
        event("New", made="2026-03-01T11:30:00Z"),
    ],
    ids=["count", "new API", "series", "creation"],
)
def test_each_of_the_apis_times_counts(latest: dict[str, Any]) -> None:
    earlier = event("Old", lastTimestamp="2026-03-01T11:29:59Z")
    found = newest([earlier, latest, event("Older")])
    assert found is not None
    assert found.reason == "New"


def test_the_operator_may_list_events_and_watch_none() -> None:
    rules = [rule for rule in CLUSTER_RULES if rule["resources"] == ["events"]]
    assert [rule["verbs"] for rule in rules] == [["create", "list"]]
