"""The ledger: one small object for each item's outcome, stored before the next item is taken.

It is what makes restarts free: an item whose outcome is here, a negative one too, is never worked on or paid for again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fabula_api.artifact import canonical_json
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.store import Store

_FOLDER = "items"
_ITEM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_READERS = 8
_BATCH = 256


def item_path(item_id: str) -> str:
    """Path of an item's outcome. Two hex digits of a hash spread a million items over 256 folders."""
    if not _ITEM_ID.fullmatch(item_id):
        raise ValueError(f"{item_id!r} is no item id: letters, digits, dot, dash and underscore, at most 200")
    return f"{_FOLDER}/{hashlib.sha256(item_id.encode()).hexdigest()[:2]}/{item_id}.json"


class Ledger:
    """Outcomes by item id, below one stage's folder. Safe for many shards at once: each item is one object."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, item_id: str) -> dict[str, Any] | None:
        """The outcome, or None when the item is still to be done."""
        try:
            return self._parse(item_path(item_id))
        except NotFound:
            return None

    def put(self, item_id: str, outcome: dict[str, Any]) -> None:
        """Store an outcome for good; after this returns, a crash cannot lose it."""
        self._store.write(item_path(item_id), canonical_json(outcome))

    def put_if_absent(self, item_id: str, outcome: dict[str, Any]) -> bool:
        """Store an outcome unless there is one; whether it was stored. Of several that try at once, one does."""
        return self._store.write_if_absent(item_path(item_id), canonical_json(outcome))

    def remove(self, item_id: str) -> None:
        """Take an outcome back, so that the item is still to be done."""
        self._store.delete(item_path(item_id))

    def ids(self) -> set[str]:
        """Ids of all finished items, by one listing."""
        return {entry.path.rsplit("/", 1)[1].removesuffix(".json") for entry in self._store.list(_FOLDER)}

    def items(self, among: Iterable[str] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """(id, outcome) of all finished items, by id, or of those `among` them that the caller knows to be finished.

        Reads ahead, because each read from S3 is a round trip.
        """
        ordered = sorted(self.ids() if among is None else among)
        for start in range(0, len(ordered), _BATCH):
            batch = ordered[start : start + _BATCH]
            # No thread outlives a batch: who stops in the middle leaves this generator to the garbage collector, and in
            # whichever thread that runs, it must not have to wait for others.
            with ThreadPoolExecutor(_READERS) as readers:
                outcomes = list(readers.map(lambda item: self._parse(item_path(item)), batch))
            yield from zip(batch, outcomes, strict=True)

    def _parse(self, path: str) -> dict[str, Any]:
        data = self._store.read(path)
        try:
            outcome = json.loads(data)
        except (ValueError, RecursionError):
            outcome = None
        if not isinstance(outcome, dict):
            raise InputInvalid(
                f"{self._store.uri}/{path} is no outcome: it was changed by hand; delete it to redo the item"
            )
        return outcome


def own_items(item_ids: list[str], shard: int, shards: int) -> list[str]:
    """The items of one shard: every `shards`-th of the sorted list. Any shard count over one ledger ends the same."""
    return sorted(item_ids)[shard::shards]
