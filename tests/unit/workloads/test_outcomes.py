"""Outcomes of items: read as their stage's model or refused by the field, and read once however often they are used."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.file_store import FileStore
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.outcomes import Outcome, Outcomes, ReadOutcomes, in_round


class Caption(Outcome):
    """What a stage of a test keeps of an item."""

    text: str = ""
    num_words: int = 0


class CountingStore(FileStore):
    """A folder that counts what is read of it."""

    reads = 0

    def read(self, path: str) -> bytes:
        self.reads += 1
        return super().read(path)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(f"file://{tmp_path}/extract")


def test_what_is_kept_is_camel_case_and_only_what_was_said(store: CountingStore) -> None:
    outcomes = Outcomes(store, Caption)
    outcomes.put("one", Caption(outcome="ok", num_words=3))
    assert Ledger(store).get("one") == {"outcome": "ok", "numWords": 3}
    assert outcomes.get("one") == Caption(outcome="ok", num_words=3)
    assert outcomes.get("two") is None
    assert not outcomes.put_if_absent("one", Caption(outcome="failed", reason="Late"))
    assert outcomes.ids() == {"one"}


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"text": "a"}, "outcome: Field required"),
        ({"outcome": "maybe"}, "outcome: Input should be 'ok', 'skipped', 'rejected' or 'failed'"),
        ({"outcome": "ok", "numWords": "many"}, "numWords: Input should be a valid integer"),
    ],
)
def test_what_is_no_outcome_is_refused_by_file_and_field(
    store: CountingStore, kept: dict[str, object], said: str
) -> None:
    Ledger(store).put("one", kept)
    for read in (lambda: Outcomes(store, Caption).get("one"), lambda: list(Outcomes(store, Caption).items())):
        with pytest.raises(InputInvalid) as refused:
            read()
        assert said in refused.value.message
        assert "/one.json is no outcome of this stage" in refused.value.message


def test_a_field_of_a_newer_version_is_passed_over(store: CountingStore) -> None:
    Ledger(store).put("one", {"outcome": "ok", "colour": "red"})
    assert Outcomes(store, Caption).get("one") == Caption(outcome="ok")


def test_a_failure_is_tried_once_in_each_round() -> None:
    failed = Caption(outcome="failed", reason="Gone")
    assert failed.is_finished(0) and not failed.is_finished(1)
    assert in_round(failed, 1).is_finished(1) and not in_round(failed, 1).is_finished(2)
    assert in_round(Caption(outcome="ok"), 1) == Caption(outcome="ok")
    assert (failed.counted_as("caption"), Caption(outcome="ok").counted_as("caption")) == (
        "caption/failed/Gone",
        "caption/ok",
    )


def test_each_item_is_read_once_however_often_the_outcomes_are_gone_through(
    tmp_path: Path, store: CountingStore
) -> None:
    outcomes = Outcomes(store, Caption)
    kept = {f"episode-{number}": Caption(outcome="ok", text=f"Zeile\n{number} ü") for number in range(30)}
    for item, outcome in kept.items():
        outcomes.put(item, outcome)
    (tmp_path / "cache").mkdir()
    read = ReadOutcomes(outcomes, tmp_path / "cache")
    assert dict(read) == dict(outcomes.items()) == kept
    assert store.reads == 60, "30 for the copy, 30 for what it is compared with"
    first, second = iter(read), iter(read)
    assert [next(first), next(second), next(first)] == [*list(read)[:1], *list(read)[:2]]
    assert store.reads == 60
    del read, first, second
    assert not list((tmp_path / "cache").iterdir()), "the copy goes with its reader"


def test_who_stops_in_the_middle_leaves_no_thread_behind(store: CountingStore) -> None:
    """A generator that is left with threads waits for them wherever the garbage collector runs: for ever in a thread
    that is just being started."""
    ledger = Ledger(store)
    for item in ("one", "two", "three"):
        ledger.put(item, {"outcome": "ok"})
    before = set(threading.enumerate())
    items = ledger.items()
    assert next(items)[0] == "one"
    assert set(threading.enumerate()) <= before
    assert [key for key, _ in items] == ["three", "two"]
