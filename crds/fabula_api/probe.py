"""What a pod found when it tried what runs rely on: `fabula-probe`'s last word, which `fabula doctor` reads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fabula_api.base import StatusModel, Text

FindingState = Literal["OK", "MISSING", "DIFFERS", "NOTE"]
"""`DIFFERS`: it was tried, and is not as Fabula takes it to be."""


class Finding(StatusModel):
    """One thing that was tried."""

    about: Text
    state: FindingState
    said: str = Field(max_length=600)
    """What came of it, and where it is not well, what to do."""


class ProbeReport(StatusModel):
    """All that one pod tried; it fits into a termination message."""

    findings: tuple[Finding, ...] = Field(max_length=12)
