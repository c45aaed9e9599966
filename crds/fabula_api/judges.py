"""Judges of an EvalRun: models that say which answer is better, or how good one is."""

from __future__ import annotations

from typing import Literal

from fabula_api.base import Name, SpecModel, Text


class Judge(SpecModel):
    name: Name
    """Name of the judge in status and report."""
    provider: Literal["bedrock", "http"] = "bedrock"
    """Who runs it."""
    model: Text
    """Model or inference profile."""
