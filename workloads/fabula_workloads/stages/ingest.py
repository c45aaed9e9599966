"""Stage `ingest` of a DatasetBuild: a transcript source becomes episodes."""

from __future__ import annotations

from fabula_workloads.recipes.podcast import ingest
from fabula_workloads.runtime.context import StageContext, StageResult


def run(context: StageContext) -> StageResult:
    """Read the source and commit an artifact of kind `episodes`."""
    return ingest.run(context)
