"""What an evaluation's judges found, as part of its status."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fabula_api.base import Count, StatusModel, Text


class JudgedPair(StatusModel):
    """What a judge holds of one arm against another."""

    arm: Text
    """Arm."""
    versus: Text
    """Arm that it was compared with."""
    win_rate: float | None = None
    """Share of samples that the arm wins; a tie is half a win. Absent when no verdict could be read."""
    low: float | None = None
    """Lower end of its 95 % interval (Wilson)."""
    high: float | None = None
    """Upper end."""
    controlled: float | None = None
    """Win rate that is expected of answers of equal length, as AlpacaEval 2 defines it."""
    controlled_low: float | None = None
    """Lower end of its 95 % interval."""
    controlled_high: float | None = None
    """Upper end."""
    corrected: float | None = None
    """Win rate without the calls in which the judge looked at nothing but place or length."""
    corrected_low: float | None = None
    """Lower end of its 95 % interval."""
    corrected_high: float | None = None
    """Upper end."""
    wins: Count = 0
    """Samples won."""
    ties: Count = 0
    """Samples on which the two orders disagree, or both say so."""
    losses: Count = 0
    """Samples lost."""


class JudgedArm(StatusModel):
    """What a judge thinks of one arm."""

    arm: Text
    """Arm."""
    points: float | None = None
    """Mean points, under a rubric with a scale."""
    low: float | None = None
    """Lower end of the 95 % bootstrap interval of `points`."""
    high: float | None = None
    """Upper end."""
    strength: float | None = None
    """Bradley-Terry strength in log odds, of mean zero; where all of more than two arms were compared."""


class JudgeFound(StatusModel):
    """A judge, and what follows from its replies."""

    name: Text
    """Judge."""
    pairs: Annotated[list[JudgedPair], Field(max_length=28)] = Field(default_factory=list)
    """Its verdicts, by pairs of arms."""
    arms: Annotated[list[JudgedArm], Field(max_length=8)] = Field(default_factory=list)
    """Its points and strengths, by arm."""
    unread: Count = 0
    """Questions to which no reply could be read; they are in no figure."""
    first: float | None = None
    """Share of its decided calls in which it took the answer that was shown first; 0.5 without a habit."""
    consistent: float | None = None
    """Share of pairs on which both orders said the same."""
    longer: float | None = None
    """Share of decided pairs in which the longer answer won."""
    agreement: Annotated[dict[Text, float], Field(max_length=16)] = Field(default_factory=dict)
    """Cohen's kappa with each other judge, and with `people`."""
    trusted: bool | None = None
    """Whether it stood its self-test. No gate rests on one that did not."""
    self_test: Text | None = None
    """What was seen in it."""


class JudgeStatus(JudgeFound):
    planned: Count = 0
    """Calls planned; replies that cannot be read, and answers that are missing, change it."""
    planned_usd: float | None = None
    """Dollars that those are expected to cost; not given where a price is not known."""
    calls: Count = 0
    """Calls paid for so far, those of earlier starts included."""
    cost_usd: float | None = None
    """Dollars they cost."""
    left: Count = 0
    """Questions that the budget left."""
