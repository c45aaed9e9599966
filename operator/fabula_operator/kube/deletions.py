"""What was deleted lately: late news of it bring nothing back, and workers of a run that is gone are told to stop."""

from __future__ import annotations

from collections import Counter, OrderedDict

from fabula_operator.kube.news import Key

REMEMBERED = 10_000


class Deletions:
    """Of so many objects, the last ones."""

    def __init__(self) -> None:
        self._uids: OrderedDict[str, None] = OrderedDict()
        self._runs: OrderedDict[Key, str] = OrderedDict()
        """Runs to their uids."""
        self._count: Counter[str] = Counter()

    def __contains__(self, uid: str) -> bool:
        return uid in self._uids

    def add(self, uid: str) -> None:
        """An object is gone."""
        self._uids[uid] = None
        while len(self._uids) > REMEMBERED:
            self._uids.popitem(last=False)

    def add_run(self, key: Key, uid: str) -> None:
        """A run is gone."""
        self._count[key.namespace] += 1
        self._runs[key] = uid
        self._runs.move_to_end(key)
        while len(self._runs) > REMEMBERED:
            self._runs.popitem(last=False)

    def of(self, key: Key) -> str | None:
        """Uid of the run of that name that went last."""
        return self._runs.get(key)

    def count(self, namespace: str) -> int:
        """How many runs of a namespace went, as far as this process heard."""
        return self._count[namespace]
