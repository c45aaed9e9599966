"""Stage `assemble` of a DatasetBuild: excerpts and pictures become a dataset."""

from __future__ import annotations

from fabula_workloads.recipes.podcast import assemble
from fabula_workloads.runtime.context import StageContext, StageResult


def run(context: StageContext) -> StageResult:
    """Assemble and commit an artifact of kind `dataset`."""
    return assemble.run(context)
