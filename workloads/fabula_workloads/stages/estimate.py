"""Stage `estimate` of a DatasetBuild's dry run: what the build would ask of its providers."""

from __future__ import annotations

from fabula_workloads.recipes.podcast import estimate
from fabula_workloads.runtime.context import StageContext, StageResult


def run(context: StageContext) -> StageResult:
    """Estimate from a sample of the episodes; nothing is sent to a provider."""
    return estimate.run(context)
