"""Outcomes of a stage's items as its own model: what the ledger holds, read and written by one definition."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Generic, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from fabula_api.base import Record
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.ledger import Ledger, item_path
from fabula_workloads.runtime.store import Store
from fabula_workloads.runtime.termination import validation_lines


class Kept(Record):
    """What a stage keeps in a ledger: camelCase in its file; what a newer version adds is ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class Outcome(Kept):
    """What became of an item. A stage's own is a class below it, with what later stages have to know."""

    outcome: Literal["ok", "skipped", "rejected", "failed"]
    reason: str | None = None
    """Why it is not `ok`, in one CamelCase word."""
    retry: int = Field(0, ge=0)
    """Round of `retryFailed` in which it failed."""

    @property
    def ok(self) -> bool:
        """Whether the item was done."""
        return self.outcome == "ok"

    def is_finished(self, retry: int) -> bool:
        """Whether the item is done with: one that failed in a round before the `retry`-th is tried again."""
        return self.outcome != "failed" or self.retry >= retry

    def counted_as(self, kind: str) -> str:
        """Name of the count that it is one of, as `kind/outcome/Reason`."""
        return f"{kind}/{self.outcome}" + (f"/{self.reason}" if self.reason else "")


KeptT = TypeVar("KeptT", bound=Kept)
OutcomeT = TypeVar("OutcomeT", bound=Outcome)


def in_round(outcome: OutcomeT, retry: int) -> OutcomeT:
    """The outcome as the ledger takes it: a failure says in which round it was, so that each round tries it once."""
    return outcome.replace(retry=retry) if retry and outcome.outcome == "failed" else outcome


class Outcomes(Generic[KeptT]):
    """A ledger whose items are of one model. Raises InputInvalid, naming file and field, for an item that is not."""

    def __init__(self, store: Store, model: type[KeptT]) -> None:
        self._uri, self._ledger, self.model = store.uri, Ledger(store), model

    def get(self, item: str) -> KeptT | None:
        """What is kept of the item; None where it is still to be done."""
        kept = self._ledger.get(item)
        return None if kept is None else self._read(item, kept)

    def put(self, item: str, kept: KeptT) -> None:
        """Keep it for good; after this returns, a crash cannot lose it."""
        self._ledger.put(item, _wire(kept))

    def put_if_absent(self, item: str, kept: KeptT) -> bool:
        """Keep it unless there is something; whether it was kept. Of several that try at once, one does."""
        return self._ledger.put_if_absent(item, _wire(kept))

    def remove(self, item: str) -> None:
        """Take it back, so that the item is still to be done."""
        self._ledger.remove(item)

    def ids(self) -> set[str]:
        """Ids of all items that are kept, by one listing."""
        return self._ledger.ids()

    def items(self, among: Iterable[str] | None = None) -> Iterator[tuple[str, KeptT]]:
        """(id, what is kept) of all items, by id, or of those `among` them that the caller knows to be there."""
        return ((item, self._read(item, kept)) for item, kept in self._ledger.items(among))

    def _read(self, item: str, kept: Mapping[str, object]) -> KeptT:
        try:
            return self.model.model_validate(kept)
        except ValidationError as error:
            raise InputInvalid(
                f"{self._uri}/{item_path(item)} is no outcome of this stage: {'; '.join(validation_lines(error))}; "
                "delete it to redo the item"
            ) from None


class ReadOutcomes(Generic[KeptT]):
    """A ledger that is not added to any more: read from the store once, and from a local file each time after that,
    since each item is a request of its own there."""

    def __init__(self, outcomes: Outcomes[KeptT], folder: Path) -> None:
        """Reads them all into a file in `folder`, which goes with this object."""
        self._model = outcomes.model
        self._file = tempfile.NamedTemporaryFile("w", dir=folder, encoding="utf-8")  # noqa: SIM115 - as long as this
        for item, kept in outcomes.items():
            self._file.write(json.dumps([item, _wire(kept)], ensure_ascii=False) + "\n")
        self._file.flush()

    def __iter__(self) -> Iterator[tuple[str, KeptT]]:
        with open(self._file.name, encoding="utf-8") as lines:
            for line in lines:
                item, kept = json.loads(line)
                yield item, self._model.model_validate(kept)


def _wire(kept: Kept) -> dict[str, object]:
    return kept.model_dump(mode="json", by_alias=True, exclude_unset=True)
