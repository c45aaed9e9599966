"""What a metric is, as data: one record in a file of its own, from which schema, status, report and docs follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ProfileName = Literal["v2", "paper-v1"]
"""Versions of the metrics' definitions, by the order in which an EvalRun has them by default."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One version of the definitions."""

    name: ProfileName
    version: int
    """Raise it when a figure that was right before comes out otherwise."""
    about: str
    """What the definitions have in common, for the report; a recipe's own words stand behind it."""


PROFILES: dict[ProfileName, Profile] = {
    "v2": Profile("v2", 1, "The published definitions, mended."),
    "paper-v1": Profile(
        "paper-v1",
        1,
        "The published definitions with their defects, so that published figures can be reproduced.",
    ),
}


@dataclass(frozen=True, slots=True)
class Definition:
    """How a metric is computed under one profile."""

    about: str
    """What is counted, for the documentation's table."""
    function: str
    """`module:function`. As text, so that whoever reads the record imports no library of models."""
    published: bool = True
    """Whether the published evaluation has it; in its tables what it has comes first."""
    defect: str | None = None
    """Why it is known not to tell two texts apart, of a published definition that cannot."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of an answer, by which arms are compared."""

    name: str
    """In the spec, the status and the report. A recipe's own is called `recipe/metric`."""
    title: str
    """For people."""
    unit: str
    """What one figure says, behind its title."""
    shown: str
    """Format of a figure, such as `.1f`."""
    definitions: Mapping[ProfileName, Definition]
    """By profile; under one that is not named the metric has no figure and stands in no table."""
    better: Literal["higher", "lower"] | None = None
    """Which figures are better; None where that depends on what is asked for."""
    over: Literal["answer", "evaluation"] = "answer"
    """What the function sees. `answer`: one text, as a `Reading`, for which it gives a figure or None. `evaluation`:
    all answers and pictures at once, as `Materials`, for a metric that needs a model; it gives a `Computed`, for all
    profiles at once."""
    reads: str = "text"
    """What it reads of an evaluation: `text`, which every answer has; `pictures` of the samples; `dialogue`, an answer
    with turns (a `Reading` that is a `Dialogue`); `format`, rules that an answer can break; or what a recipe offers to
    its own metrics. A run may ask for it only under a recipe that offers it."""
    with_asked: bool = False
    """The function takes what is asked for (`fabula_api.asked.Asked`) behind the reading."""
    needs: str | None = None
    """Spec field without which no answer has a figure, as a person writes it."""
    continuous: bool = False
    """Two arms with different texts cannot have one and the same figure by chance, so where all are the same the metric
    has failed. Counts and shares can."""
    probes: tuple[str, str] | None = None
    """Two texts that it must tell apart, where the usual two would get one and the same figure."""
    column: str | None = None
    """In the published evaluation's tables; else its name."""
    headline: bool = False
    """Its means stand in the one cell of `kubectl get`, as shares, and in the status whatever else must be left out."""
    by_default: bool = True
    """Whether it is computed in a run that names no metrics."""
    place: int = 100
    """Where it stands in lists: a metric has a smaller one than those behind it."""

    @property
    def csv_column(self) -> str:
        """Its column in a table for programs."""
        return self.column or self.name.replace("-", "_").replace("/", "_")
