"""Artifacts and ledgers over both stores: what has a manifest is whole, one of two workers wins, no outcome is lost."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from tests.support.patience import SECONDS

from fabula_api.artifact import MANIFEST
from fabula_workloads.runtime.artifact import add_part, add_parts, commit, read_manifest, require_manifest
from fabula_workloads.runtime.failures import Crashed, InputInvalid, Overtaken, TryAgain
from fabula_workloads.runtime.ledger import Ledger, own_items
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store
from fabula_workloads.runtime.verified import verify


def test_a_committed_artifact_can_be_read_and_verified(store: Store, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"weights")
    parts = [add_part(store, "z/weights", tmp_path / "local"), add_part(store, "a.json", b"{}")]
    assert read_manifest(store) is None
    manifest = commit(store, kind="adapter", parts=parts, counts={"step": 3}, details={"pixels": 5}, attempt=2)
    assert read_manifest(store) == manifest
    assert [part.path for part in manifest.parts] == ["a.json", "z/weights"]
    verify(store, manifest, tmp_path)
    assert require_manifest(store, "adapter") == manifest
    with pytest.raises(InputInvalid, match="of kind adapter, not dataset"):
        require_manifest(store, "dataset")


def test_without_a_manifest_it_does_not_exist(store: Store) -> None:
    add_part(store, "part", b"1")
    with pytest.raises(InputInvalid, match="no artifact was committed"):
        require_manifest(store)


def test_many_parts_keep_their_order(store: Store, tmp_path: Path) -> None:
    parts = add_parts(store, ((f"p/{number:03d}", b"%d" % number) for number in range(60)))
    assert [part.path for part in parts] == [f"p/{number:03d}" for number in range(60)]
    verify(store, commit(store, kind="pictures", parts=parts), tmp_path)


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    digests = set()
    for attempt, order in ((1, ["a", "b"]), (2, ["b", "a"])):
        store = open_store((tmp_path / str(attempt)).as_uri())
        parts = [add_part(store, path, path.encode()) for path in order]
        digests.add(commit(store, kind="x", parts=parts, counts={"n": attempt}, attempt=attempt).digest)
    assert len(digests) == 1


def test_a_part_that_is_gone_or_cut_is_seen_before_the_commit(store: Store) -> None:
    parts = [add_part(store, "one", b"1"), add_part(store, "two", b"22")]
    store.write("two", b"2")
    with pytest.raises(Crashed, match="two should have 2 bytes but has 1"):
        commit(store, kind="x", parts=parts)
    store.delete("two")
    with pytest.raises(Crashed, match="but has gone"):
        commit(store, kind="x", parts=parts)
    assert read_manifest(store) is None


def test_a_manifest_changed_by_hand_is_named(store: Store) -> None:
    store.write(MANIFEST, b'{"kind": "x", "parts": "none"}')
    with pytest.raises(InputInvalid, match=r"manifest.json is no manifest: digest: Field required"):
        read_manifest(store)


def test_the_same_artifact_twice_is_one(store: Store) -> None:
    first = commit(store, kind="x", parts=[add_part(store, "one", b"1")], attempt=1)
    again = commit(store, kind="x", parts=[add_part(store, "one", b"1")], attempt=2)
    assert again == first
    assert again.attempt == 1


def test_an_overtaken_attempt_neither_commits_nor_overwrites(store: Store) -> None:
    mine = add_part(store, "late", b"late")
    commit(store, kind="x", parts=[add_part(store, "one", b"1")], attempt=2)
    with pytest.raises(Overtaken, match="committed by attempt 2"):
        add_part(store, "one", b"other bytes")
    assert store.read("one") == b"1"
    with pytest.raises(Overtaken):
        commit(store, kind="x", parts=[mine], attempt=1)
    assert issubclass(Overtaken, TryAgain)


def _worker(uri: str, number: int, start: multiprocessing.Barrier, results: multiprocessing.Queue) -> None:  # type: ignore[valid-type,type-arg]
    store = open_store(uri)
    part = add_part(store, f"part-{number}", b"%d" % number)
    start.wait()
    try:
        results.put(("committed", commit(store, kind="x", parts=[part], attempt=number).attempt))
    except Overtaken:
        results.put(("overtaken", number))


def test_two_workers_race_and_one_wins(store_uri: str, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    start, results = spawn.Barrier(2), spawn.Queue()
    workers = [spawn.Process(target=_worker, args=(store_uri, number, start, results)) for number in (1, 2)]
    for worker in workers:
        worker.start()
    outcomes = sorted(results.get(timeout=SECONDS) for _ in workers)
    for worker in workers:
        worker.join(SECONDS)
    assert [outcome for outcome, _ in outcomes] == ["committed", "overtaken"]
    manifest = read_manifest(open_store(store_uri))
    assert manifest is not None
    assert manifest.attempt == outcomes[0][1]
    store, loser = open_store(store_uri), 3 - manifest.attempt
    store.delete(f"part-{loser}")
    verify(store, manifest, tmp_path)


class TestLedger:
    def test_outcomes_come_back_by_id(self, store: Store) -> None:
        ledger = Ledger(store)
        outcomes = {f"episode-{number}": {"outcome": "ok", "n": number} for number in range(40)}
        for item, outcome in reversed(outcomes.items()):
            ledger.put(item, outcome)
        assert dict(ledger.items()) == outcomes
        assert [item for item, _ in ledger.items()] == sorted(outcomes)
        assert ledger.ids() == set(outcomes)
        assert ledger.get("episode-7") == {"outcome": "ok", "n": 7}
        assert ledger.get("episode-70") is None

    def test_items_spread_over_folders(self, store: Store) -> None:
        ledger = Ledger(store)
        for number in range(20):
            ledger.put(f"{number}", {"outcome": "skipped"})
        folders = {entry.path.split("/")[1] for entry in store.list("items")}
        assert len(folders) > 5
        assert all(len(folder) == 2 for folder in folders)

    @pytest.mark.parametrize("item", ["", "../x", "a/b", ".hidden", "x" * 201])
    def test_ids_are_names_of_files(self, store: Store, item: str) -> None:
        with pytest.raises(ValueError, match="no item id"):
            Ledger(store).put(item, {})

    def test_a_broken_outcome_is_named(self, store: Store) -> None:
        ledger = Ledger(store)
        ledger.put("x", {"outcome": "ok"})
        (path,) = (entry.path for entry in store.list("items"))
        store.write(path, b"[1")
        with pytest.raises(InputInvalid, match=r"items/.*/x.json is no outcome"):
            ledger.get("x")

    @pytest.mark.parametrize("shards", [1, 2, 3, 7])
    def test_shards_share_all_items(self, shards: int) -> None:
        items = [f"{number:02d}" for number in range(17)]
        owned = [own_items(items[::-1], shard, shards) for shard in range(shards)]
        assert sorted(item for own in owned for item in own) == items
