"""Stage `ingest`: annotations of all sources as rows of one kind, each source's share drawn by seed.

Videos are not looked at here, for there may be terabytes of them: `decode` reads each once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fabula_api.artifact import digest_of
from fabula_api.recipes.visual_instruction.build import VideoSource
from fabula_api.status import Lineage
from fabula_workloads.recipes.visual_instruction.annotations.reading import Unreadable, drawn, read_rows
from fabula_workloads.recipes.visual_instruction.annotations.rows import Row
from fabula_workloads.recipes.visual_instruction.build_of import block_of
from fabula_workloads.runtime.artifact import add_parts, commit
from fabula_workloads.runtime.content import file_digest
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store, split_uri
from fabula_workloads.runtime.verified import committed

KIND, ROWS = "instructions", "rows.jsonl"
_SHOWN_BAD = 3


def run(context: StageContext) -> StageResult:
    """The `ingest` stage."""
    block = block_of(context)
    lineage = [_lineage(context, source) for source in block.sources]
    digest = digest_of([[entry.name, entry.digest] for entry in lineage])
    store = context.store.child(digest.removeprefix("sha256:")[:16])
    key = context.config.key
    if (manifest := committed(store, (KIND,), key, context.cache, context.check_stop)) is not None:
        return StageResult.reuse(manifest, store.uri)
    rows: list[Row] = []
    bad: list[Unreadable] = []
    counts: Counter[str] = Counter()
    for source in block.sources:
        context.check_stop()
        found = list(read_rows(_bytes(context, source), source))
        readable = [one for one in found if isinstance(one, Row)]
        bad += [one for one in found if isinstance(one, Unreadable)]
        taken = drawn(readable, source, block.split.seed)
        counts["row/skipped/NotDrawn"] += len(readable) - len(taken)
        rows += taken
    _check_bad(len(rows) + counts["row/skipped/NotDrawn"], bad, block.max_bad_fraction)
    counts["row/ok"] = len(rows)
    counts.update(f"row/skipped/{one.reason}" for one in bad)
    kept = {name: count for name, count in sorted(counts.items()) if count or name == "row/ok"}
    manifest = commit(
        store,
        kind=KIND,
        key=key,
        parts=add_parts(store, _files(rows, bad)),
        counts=kept,
        lineage=lineage,
        attempt=context.config.attempt,
    )
    return StageResult(
        manifest, store.uri, counts={name: float(count) for name, count in kept.items()}, lineage=lineage
    )


def rows_of(store: Store) -> list[Row]:
    """The rows that `ingest` made."""
    return [Row.model_validate_json(line) for line in store.read(ROWS).splitlines()]


def _files(rows: list[Row], bad: list[Unreadable]) -> Iterator[tuple[str, bytes]]:
    yield ROWS, "".join(row.model_dump_json() + "\n" for row in rows).encode()
    yield "unreadable.txt", "".join(f"{one.place}: {one.why}\n" for one in bad).encode()


def _lineage(context: StageContext, source: VideoSource) -> Lineage:
    absolute = context.resolve(source.annotations)
    try:
        digest = file_digest(absolute, context.cache)
    except NotFound:
        raise InputInvalid(
            f"visualInstruction.sources[{source.name}].annotations: there is no file at {absolute}"
        ) from None
    return Lineage(name=f"{source.name}/annotations", uri=absolute, digest=digest)


def _bytes(context: StageContext, source: VideoSource) -> bytes:
    folder, name = split_uri(context.resolve(source.annotations))
    return open_store(folder).read(name)


def _check_bad(readable: int, bad: list[Unreadable], most: float) -> None:
    total = readable + len(bad)
    if not readable or len(bad) > most * total:
        shown = "; ".join(f"{one.place}: {one.why}" for one in bad[:_SHOWN_BAD]) or "the files have no rows"
        raise InputInvalid(
            f"{len(bad)} of {total} rows cannot be read, more than visualInstruction.maxBadFraction {most:g} allows: "
            f"{shown}"
        )
