"""Stage `ingest`: annotations of all sources as rows of one kind, each source's share drawn by seed.

Videos are not looked at here, for there may be terabytes of them: `decode` reads each once.
"""

from __future__ import annotations

from collections import Counter

from fabula_api.recipes.visual_instruction.build import VideoSource, VisualInstructionBuildSpec
from fabula_api.status import Lineage
from fabula_workloads.recipe_parts.source_rows import (
    Unreadable,
    check_unreadable,
    commit_ingested,
    digest_of_origins,
    origin,
    read_file,
    row_files,
)
from fabula_workloads.recipes.visual_instruction.annotations.reading import drawn, read_rows
from fabula_workloads.recipes.visual_instruction.annotations.rows import Row
from fabula_workloads.runtime.by_content import made_before
from fabula_workloads.runtime.content import file_digest
from fabula_workloads.runtime.context import StageContext, StageResult

KIND = "instructions"


def run(context: StageContext) -> StageResult:
    """The `ingest` stage."""
    block = context.spec_of(VisualInstructionBuildSpec).visual_instruction
    lineage = [_lineage(context, source) for source in block.sources]
    store, before = made_before(context, KIND, digest_of_origins(lineage))
    if before is not None:
        return before
    rows: list[Row] = []
    bad: list[Unreadable] = []
    counts: Counter[str] = Counter()
    for source in block.sources:
        context.check_stop()
        entries = list(read_rows(read_file(context, source.annotations), source))
        readable = [entry for entry in entries if isinstance(entry, Row)]
        bad += [entry for entry in entries if isinstance(entry, Unreadable)]
        taken = drawn(readable, source, block.split.seed)
        counts["row/skipped/NotDrawn"] += len(readable) - len(taken)
        rows += taken
    readable_rows = len(rows) + counts["row/skipped/NotDrawn"]
    check_unreadable(readable_rows, bad, block.max_bad_fraction, "visualInstruction.maxBadFraction")
    counts["row/ok"] = len(rows)
    counts.update(f"row/skipped/{entry.reason}" for entry in bad)
    kept = {name: count for name, count in sorted(counts.items()) if count or name == "row/ok"}
    return commit_ingested(context, store, KIND, row_files(rows, bad), kept, lineage)


def _lineage(context: StageContext, source: VideoSource) -> Lineage:
    field = f"visualInstruction.sources[{source.name}].annotations"
    return origin(context, f"{source.name}/annotations", source.annotations, field, "file", file_digest)
