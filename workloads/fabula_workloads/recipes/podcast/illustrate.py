"""Stage `illustrate`: a picture for each scene that was found, checked, stored, and recorded with where it came from.

A scene's outcome is in the ledger before the next scene is drawn, so a restarted shard draws nothing twice.
"""

from __future__ import annotations

from fabula_workloads.recipes.podcast.illustration.pictures import build_of
from fabula_workloads.runtime.context import StageContext, StageResult


def run(context: StageContext) -> StageResult:
    """Draw this shard's scenes."""
    if build_of(context).podcast.images.provider == "bedrock":
        from fabula_workloads.recipes.podcast.illustration.paid import illustrate_paid  # boto3 only where it is used

        return illustrate_paid(context)
    from fabula_workloads.recipes.podcast.illustration.by_model import illustrate, open_painter

    return illustrate(context, open_painter)
