"""A ledger that is read several times costs one read of each item."""

from __future__ import annotations

from pathlib import Path

from fabula_workloads.runtime.file_store import FileStore
from fabula_workloads.runtime.ledger import Ledger, ReadLedger


class CountingStore(FileStore):
    """A folder that counts what is read of it."""

    reads = 0

    def read(self, path: str) -> bytes:
        self.reads += 1
        return super().read(path)


def test_each_item_is_read_once_however_often_the_outcomes_are_gone_through(tmp_path: Path) -> None:
    store = CountingStore(f"file://{tmp_path}/extract")
    ledger = Ledger(store)
    outcomes = {f"episode-{number}": {"outcome": "ok", "text": f"Zeile\n{number} ü"} for number in range(30)}
    for item, outcome in outcomes.items():
        ledger.put(item, outcome)
    (tmp_path / "cache").mkdir()
    read = ReadLedger(ledger, tmp_path / "cache")
    assert dict(read) == dict(ledger.items()) == outcomes
    assert store.reads == 60, "30 for the copy, 30 for what it is compared with"
    first, second = iter(read), iter(read)
    assert [next(first), next(second), next(first)] == [*list(read)[:1], *list(read)[:2]]
    assert store.reads == 60
    del read, first, second
    assert not list((tmp_path / "cache").iterdir()), "the copy goes with its reader"
