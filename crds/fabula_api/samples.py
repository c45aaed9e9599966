"""What an EvalRun asks about: where its samples lie, and which of them are taken."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fabula_api.base import SpecModel, Uri


class Samples(SpecModel):
    uri: Uri
    """VIST's annotations with a picture folder beside them, or a folder of sample folders."""
    format: Literal["vist", "directories"] = "vist"
    """Layout of the samples."""
    count: int = Field(50, ge=1, le=10_000)
    """Sequences to evaluate; no picture occurs in two of them."""
    seed: int = Field(42, ge=0, le=2**31 - 1)
    """Changes which sequences those are."""
