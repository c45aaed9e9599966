"""Lists and watches: selection, chunks, resumption, and what a selector makes of a change."""

from collections.abc import Iterator

import pytest
from tests.conformance.conftest import Records
from tests.support.wire import MERGE, TABLE, Object, Wire


@pytest.fixture
def five(wire: Wire, records: Records) -> list[str]:
    names = [f"item-{number}" for number in range(5)]
    for number, name in enumerate(names):
        labels = {"parity": "odd" if number % 2 else "even", "set": "five"}
        made = records.new(name, k="v")
        made["metadata"]["labels"] = labels
        wire.ok("POST", records.path, made)
    return names


def names(body: Object) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"] if item["metadata"]["name"] != "kube-root-ca.crt"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("parity=odd", [1, 3]),
        ("parity!=odd,set", [0, 2, 4]),
        ("parity in (odd,even)", [0, 1, 2, 3, 4]),
        ("parity notin (odd),set=five", [0, 2, 4]),
        ("!parity,set=five", []),
    ],
)
def test_label_selectors(wire: Wire, records: Records, five: list[str], selector: str, expected: list[int]) -> None:
    assert names(wire.ok("GET", records.path, labelSelector=selector)) == [five[index] for index in expected]


def test_field_selectors(wire: Wire, records: Records, five: list[str]) -> None:
    assert names(wire.ok("GET", records.path, fieldSelector="metadata.name=item-2")) == ["item-2"]
    refused = wire.call("GET", records.path, fieldSelector="data.x=1")
    assert (refused.status, refused.body["reason"]) == (400, "BadRequest")


def test_chunks_come_from_one_snapshot(wire: Wire, records: Records, five: list[str]) -> None:
    first = wire.ok("GET", records.path, labelSelector="set=five", limit=2)
    wire.ok("DELETE", f"{records.path}/item-3")
    second = wire.ok(
        "GET", records.path, labelSelector="set=five", limit=2, **{"continue": first["metadata"]["continue"]}
    )
    third = wire.ok(
        "GET", records.path, labelSelector="set=five", limit=2, **{"continue": second["metadata"]["continue"]}
    )
    assert names(first) + names(second) + names(third) == five
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert not third["metadata"].get("continue")


def test_a_malformed_continue_is_refused(wire: Wire, records: Records) -> None:
    assert wire.call("GET", records.path, limit=1, **{"continue": "nonsense"}).status == 400


def test_a_table_has_rows_and_columns(wire: Wire, records: Records, five: list[str]) -> None:
    table = wire.ok("GET", records.path, accept=TABLE, labelSelector="set=five")
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]] == (
        ["Name", "Data", "Age"] if records.kind == "ConfigMap" else ["Name", "Age"]
    )
    assert [row["cells"][0] for row in table["rows"]] == five
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_only_metadata_on_request(wire: Wire, records: Records, five: list[str]) -> None:
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    body = wire.ok("GET", records.path, accept=accept, labelSelector="set=five")
    assert body["kind"] == "PartialObjectMetadataList"
    assert names(body) == five
    assert "data" not in body["items"][0]


def test_a_watch_resumes_where_a_list_ended(wire: Wire, records: Records) -> None:
    listed = wire.ok("GET", records.path)["metadata"]["resourceVersion"]
    made = wire.ok("POST", records.path, records.new("a"))
    changed = wire.ok("PATCH", f"{records.path}/a", {"data": {"k": "v"}}, media=MERGE)
    wire.ok("DELETE", f"{records.path}/a")
    with wire.watch(records.path, resourceVersion=listed) as events:
        seen = [next(events) for _ in range(3)]
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [event["object"]["metadata"]["resourceVersion"] for event in seen]
    assert versions[:2] == [made["metadata"]["resourceVersion"], changed["metadata"]["resourceVersion"]]
    assert int(versions[2]) > int(versions[1])


def test_entering_and_leaving_a_selection(wire: Wire, records: Records) -> None:
    listed = wire.ok("GET", records.path)["metadata"]["resourceVersion"]
    wire.ok("POST", records.path, records.new("a"))
    for value in ("x", "x2", None):
        change = {"metadata": {"labels": {"app": "x" if value else None, "extra": value}}}
        wire.ok("PATCH", f"{records.path}/a", change, media=MERGE)
    with wire.watch(records.path, resourceVersion=listed, labelSelector="app=x") as events:
        seen = [next(events)["type"] for _ in range(3)]
    assert seen == ["ADDED", "MODIFIED", "DELETED"]


def test_a_streaming_list_ends_with_a_bookmark(wire: Wire, records: Records, five: list[str]) -> None:
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    with wire.watch(records.path, labelSelector="set=five", **query) as events:
        seen = list(until_bookmark(events))
    assert [event["type"] for event in seen] == ["ADDED"] * 5 + ["BOOKMARK"]
    assert seen[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_ends_when_its_time_is_over(wire: Wire, records: Records) -> None:
    with wire.watch(records.path, timeoutSeconds=1, fieldSelector="metadata.name=nobody") as events:
        assert list(events) == []


def test_a_watch_in_table_form(wire: Wire, records: Records) -> None:
    wire.ok("POST", records.path, records.new("a"))
    with wire.watch(records.path, accept=TABLE, fieldSelector="metadata.name=a") as events:
        first = next(events)
    assert first["object"]["kind"] == "Table"
    assert first["object"]["rows"][0]["cells"][0] == "a"


def until_bookmark(events: Iterator[Object]) -> Iterator[Object]:
    for event in events:
        yield event
        if event["type"] == "BOOKMARK":
            return
