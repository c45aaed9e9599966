"""Stage `extract` of a DatasetBuild: episodes become excerpts with scenes."""

from __future__ import annotations

from fabula_workloads.recipes.podcast import extract
from fabula_workloads.runtime.context import StageContext, StageResult


def run(context: StageContext) -> StageResult:
    """Work through this shard's episodes; the outcomes are in the stage's ledger."""
    return extract.run(context)
