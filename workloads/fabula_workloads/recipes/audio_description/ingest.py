"""Stage `ingest`: annotations, people and exemplars, as rows of one kind. Its folder is named by what is in them.

Banks of features are only identified here, for they may be larger than a disk: `collect` reads of them what rows need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from fabula_api.artifact import digest_of
from fabula_api.details import Details
from fabula_api.recipes.audio_description.build import NarrationSource
from fabula_api.status import Lineage
from fabula_workloads.recipes.audio_description.annotations.reading import Tables, Unreadable, read_rows
from fabula_workloads.recipes.audio_description.annotations.rows import Row
from fabula_workloads.recipes.audio_description.annotations.tables import read_cast, read_titles
from fabula_workloads.recipes.audio_description.build_of import block_of
from fabula_workloads.recipes.audio_description.features.exemplars import read_exemplars
from fabula_workloads.runtime.artifact import add_parts, commit
from fabula_workloads.runtime.content import file_digest
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import split_uri
from fabula_workloads.runtime.verified import committed

KIND, ROWS, EXEMPLARS = "narration", "rows.jsonl", "exemplars.safetensors"
_SHOWN_BAD = 3


class NarrationDetails(Details):
    """Of a `narration`."""

    banks: dict[str, str]
    """Digest of each source's bank."""


def run(context: StageContext) -> StageResult:
    """The `ingest` stage."""
    block = block_of(context)
    lineage = [entry for source in block.sources for entry in _lineage(context, source)]
    digest = digest_of([[entry.name, entry.digest] for entry in lineage])
    store = context.store.child(digest.removeprefix("sha256:")[:16])
    key = context.config.key
    if (manifest := committed(store, (KIND,), key, context.cache, context.check_stop)) is not None:
        return StageResult.reuse(manifest, store.uri)
    rows: list[Row] = []
    bad: list[Unreadable] = []
    exemplars: dict[str, Any] = {}
    for source in block.sources:
        context.check_stop()
        found, unreadable, faces = _read(context, source)
        rows += found
        bad += unreadable
        exemplars |= faces
    _check_bad(rows, bad, block.max_bad_fraction)
    counts = _counts(rows, bad)
    from safetensors.numpy import save

    files = [
        (ROWS, "".join(row.model_dump_json() + "\n" for row in rows).encode()),
        ("unreadable.txt", "".join(f"{one.place}: {one.why}\n" for one in bad).encode()),
        (EXEMPLARS, save(exemplars)),
    ]
    banks = {entry.name.removesuffix("/bank"): entry.digest or "" for entry in lineage if entry.name.endswith("/bank")}
    manifest = commit(
        store,
        kind=KIND,
        key=key,
        parts=add_parts(store, files),
        counts=counts,
        lineage=lineage,
        details=NarrationDetails(banks=banks),
        attempt=context.config.attempt,
    )
    return StageResult(
        manifest, store.uri, counts={name: float(count) for name, count in counts.items()}, lineage=lineage
    )


def _lineage(context: StageContext, source: NarrationSource) -> Iterator[Lineage]:
    named = {
        "annotations": source.annotations, "bank": source.bank.uri, "exemplars": source.exemplars,
        "cast": source.cast, "titles": source.titles,
    }  # fmt: skip
    for name, uri in named.items():
        if uri is not None:
            absolute = context.resolve(uri)
            try:
                digest = file_digest(absolute, context.cache)
            except NotFound:
                raise InputInvalid(
                    f"audioDescription.sources[{source.name}].{name}: there is no file at {absolute}"
                ) from None
            yield Lineage(name=f"{source.name}/{name}", uri=absolute, digest=digest)


def _read(context: StageContext, source: NarrationSource) -> tuple[list[Row], list[Unreadable], dict[str, Any]]:
    cast = read_cast(_bytes(context, source.cast), source.cast) if source.cast else {}
    titles = read_titles(_bytes(context, source.titles), source.titles) if source.titles else {}
    found = list(read_rows(_bytes(context, source.annotations), source, Tables(cast, titles)))
    rows = [row for row in found if isinstance(row, Row)]
    faces = read_exemplars(_bytes(context, source.exemplars), source.exemplars) if source.exemplars else {}
    # Two sources may know one person by different features.
    needed = {face.exemplar for row in rows for face in row.characters} & faces.keys()
    kept = {f"{source.name}/{key}": faces[key] for key in needed if key is not None}
    return [_with_faces(row, kept) for row in rows], [one for one in found if isinstance(one, Unreadable)], kept


def _bytes(context: StageContext, uri: str) -> bytes:
    folder, name = split_uri(context.resolve(uri))
    return open_store(folder).read(name)


def _with_faces(row: Row, known: dict[str, Any]) -> Row:
    """The row with keys of those exemplars that there are."""
    characters = tuple(
        one.replace(exemplar=key if (key := f"{row.source}/{one.exemplar}") in known else None)
        for one in row.characters
    )
    return row.replace(characters=characters)


def _check_bad(rows: list[Row], bad: list[Unreadable], most: float) -> None:
    total = len(rows) + len(bad)
    if not rows or len(bad) > most * total:
        shown = "; ".join(f"{one.place}: {one.why}" for one in bad[:_SHOWN_BAD]) or "the files have no rows"
        raise InputInvalid(
            f"{len(bad)} of {total} rows cannot be read, more than audioDescription.maxBadFraction {most:g} allows: "
            f"{shown}"
        )


def _counts(rows: list[Row], bad: list[Unreadable]) -> dict[str, int]:
    people = Counter(one.exemplar is not None for row in rows for one in row.characters)
    counts = {"row/ok": len(rows), "row/skipped/Unreadable": len(bad)}
    counts |= {"character/ok": people[True], "character/skipped/NoExemplar": people[False]}
    return {name: count for name, count in counts.items() if count or name == "row/ok"}
