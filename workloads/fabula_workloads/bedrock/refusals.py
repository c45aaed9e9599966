"""Is it this request, or is it all of them? A provider that has answered nothing and refuses everything alike has not
judged the items: what was refused then is no outcome of theirs, and is tried again once the cause is mended.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fabula_workloads.runtime.failures import ConfigInvalid, TryAgain, WorkerError
from fabula_workloads.runtime.outcomes import Outcomes, OutcomeT

ALL_REFUSED = "AllCallsRefused"
"""Reason of the failure."""
REQUEST_REFUSED = "RequestRefused"
"""Reason of an item whose request the provider will not take."""
PROVIDER_FAILED = "ProviderFailed"
"""Reason of one at which the provider failed each time, while it answered others."""
ENOUGH = 8
"""Refusals in a row, of as many requests, after which no more is sent."""
_SURE = 3
_WORDS = 200


def withdraw(ledger: Outcomes[OutcomeT], items: Iterable[str]) -> None:
    """Take back what says that an item's requests were refused: the provider has refused everything."""
    for item in items:
        outcome = ledger.get(item)
        if outcome is not None and outcome.reason == REQUEST_REFUSED:
            ledger.remove(item)


@dataclass
class Refusals:
    """The requests of one shard that were refused. Safe for many threads."""

    provider: str
    """Who was asked, as a person knows it."""
    asked: str
    """What was asked and where, with the spec's fields, for people."""
    answered: Callable[[], bool]
    """Whether any call of the stage, of any shard, was ever answered."""
    shards: int = 1
    _codes: Counter[str] = field(default_factory=Counter)
    _said: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, code: str, said: str) -> None:
        """A request was refused. Raises the failure when it is the last of too many."""
        with self._lock:
            self._codes[code] += 1
            self._said[said] += 1
        if self._codes.total() >= ENOUGH and (failure := self.all_alike()):
            raise failure

    def all_alike(self) -> WorkerError | None:
        """The stage's failure where everything was refused alike; None where nothing was, or something answered.

        One or two refusals of one shard of many prove little: others may be answered meanwhile, so it is tried again.
        """
        with self._lock:
            count, codes, said = self._codes.total(), sorted(self._codes), self._said.most_common(1)
        if not count or len(codes) > 1 or self.answered():
            return None
        # Words that were said to several requests quote none of them.
        words = f', saying "{said[0][0][:_WORDS]}"' if said[0][0] and said[0][1] == count > 1 else ""
        message = (
            f"{self.provider} refused all {count} calls alike ({codes[0]}){words}, and answered none: "
            f"look at {self.asked}"
        )
        if count < _SURE and self.shards > 1:
            return TryAgain(message, ALL_REFUSED)
        return ConfigInvalid(f"{message}. Nothing was recorded of the items, so all are tried again.", ALL_REFUSED)
