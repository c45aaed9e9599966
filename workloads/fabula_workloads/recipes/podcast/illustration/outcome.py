"""A scene's outcome in the ledger of `illustrate`: its picture with where it came from, or why there is none."""

from __future__ import annotations

from fabula_workloads.bedrock.usage import UsageRecord
from fabula_workloads.runtime.outcomes import Outcome

IMAGE = "image"
"""Kind under which scenes are counted."""


class PictureOutcome(Outcome):
    """Of one scene."""

    path: str = ""
    """Of the PNG below the stage's folder."""
    sha256: str = ""
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    model: str | None = None
    prompt_digest: str | None = None
    style_version: int | None = None
    rewritten: bool = False
    """Whether a milder prompt was drawn."""
    finish: str | None = None
    """What the provider said of it."""
    request_id: str | None = None
    usage: UsageRecord | None = None
    """What it cost, where it was paid for."""
