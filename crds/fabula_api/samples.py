"""What an EvalRun asks about: where its samples lie, and which of them are taken."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fabula_api.base import Name, ObjectName, Rule, SpecModel, Uri


class Samples(SpecModel):
    cel: ClassVar[tuple[Rule, ...]] = (
        {"rule": "has(self.uri) != has(self.ref)", "message": "give exactly one of uri and ref"},
    )
    uri: Uri | None = None
    """Where they lie, in one of the recipe's layouts."""
    ref: ObjectName | None = None
    """Name of the DatasetBuild, in this namespace, whose dataset they are taken from. This run waits for it."""
    format: Name | None = None
    """Layout, by a name of the recipe's. Default: the recipe's first."""
    count: int = Field(50, ge=1, le=10_000)
    """Samples to evaluate."""
    seed: int = Field(42, ge=0, le=2**31 - 1)
    """Changes which of them those are."""
