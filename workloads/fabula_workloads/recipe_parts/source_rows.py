"""Ingest of annotation files: rows of one kind, what of them cannot be read, and where each file came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from fabula_api.artifact import digest_of
from fabula_api.status import Lineage
from fabula_workloads.runtime.artifact import add_parts, commit
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store, split_uri

ROWS, UNREADABLE = "rows.jsonl", "unreadable.txt"
_SHOWN_BAD = 3
RowT = TypeVar("RowT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that is none: where it stands, and why it cannot be used."""

    place: str
    why: str
    reason: str = "Unreadable"
    """A word for counts."""


def read_file(context: StageContext, uri: str) -> bytes:
    """A source's file."""
    folder, name = split_uri(context.resolve(uri))
    return open_store(folder).read(name)


def origin(
    context: StageContext, name: str, uri: str, field: str, what: str, digest_at: Callable[[str, Path], str]
) -> Lineage:
    """Where a source's file or folder is, and what is in it. Raises InputInvalid where there is none, naming the spec's
    field that says so."""
    absolute = context.resolve(uri)
    try:
        return Lineage(name=name, uri=absolute, digest=digest_at(absolute, context.cache))
    except NotFound:
        raise InputInvalid(f"{field}: there is no {what} at {absolute}") from None


def digest_of_origins(origins: Iterable[Lineage]) -> str:
    """Digest of all that the rows are read from."""
    return digest_of([[origin.name, origin.digest] for origin in origins])


def lines_of(records: Iterable[BaseModel]) -> bytes:
    """A line of JSON for each."""
    return "".join(record.model_dump_json() + "\n" for record in records).encode()


def row_files(rows: Iterable[BaseModel], bad: Iterable[Unreadable]) -> Iterator[tuple[str, bytes]]:
    """The rows as later stages read them, and for people what is none."""
    yield ROWS, lines_of(rows)
    yield UNREADABLE, "".join(f"{entry.place}: {entry.why}\n" for entry in bad).encode()


def stored_rows(store: Store, model: type[RowT]) -> list[RowT]:
    """The rows that ingest made."""
    return [model.model_validate_json(line) for line in store.read(ROWS).splitlines()]


def check_unreadable(readable: int, bad: Sequence[Unreadable], most: float, field: str) -> None:
    """Raise InputInvalid where more than the share `most`, which the field gives, cannot be read, or nothing can."""
    total = readable + len(bad)
    if not readable or len(bad) > most * total:
        shown = "; ".join(f"{entry.place}: {entry.why}" for entry in bad[:_SHOWN_BAD]) or "the files have no rows"
        raise InputInvalid(f"{len(bad)} of {total} rows cannot be read, more than {field} {most:g} allows: {shown}")


def commit_ingested(
    context: StageContext,
    store: Store,
    kind: str,
    files: Iterable[tuple[str, bytes]],
    counts: Mapping[str, int],
    lineage: Sequence[Lineage],
) -> StageResult:
    """Commit what ingest made; the stage's result."""
    manifest = commit(
        store,
        kind=kind,
        key=context.config.key,
        parts=add_parts(store, files),
        counts=counts,
        lineage=lineage,
        attempt=context.config.attempt,
    )
    return StageResult(
        manifest, store.uri, counts={name: float(count) for name, count in counts.items()}, lineage=lineage
    )
