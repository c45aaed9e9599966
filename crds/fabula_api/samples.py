"""What an EvalRun asks about: where its samples lie, and which of them are taken."""

from __future__ import annotations

from pydantic import Field

from fabula_api.base import Name, SpecModel, Uri


class Samples(SpecModel):
    uri: Uri
    """Where they lie, in one of the recipe's layouts."""
    format: Name | None = None
    """Layout, by a name of the recipe's. Default: the recipe's first."""
    count: int = Field(50, ge=1, le=10_000)
    """Samples to evaluate."""
    seed: int = Field(42, ge=0, le=2**31 - 1)
    """Changes which of them those are."""
