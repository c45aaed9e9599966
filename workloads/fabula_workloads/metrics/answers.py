"""Answers with what was measured on them, and what CLIP says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fabula_api.asked import Asked
from fabula_api.metrics import Metric, ProfileName
from fabula_workloads.metrics.answer_form import AnswerForm
from fabula_workloads.metrics.brought import figure
from fabula_workloads.metrics.clip_score import Grounding
from fabula_workloads.metrics.materials import Computed
from fabula_workloads.metrics.profiles import NOTHING_ASKED, Values, measure
from fabula_workloads.metrics.records import GivenAnswer, Key, Tried


@dataclass(frozen=True, slots=True)
class ClipFigures:
    """What CLIP says, by answer. `random_weights` marks a model that was never trained: its figures mean nothing."""

    model: str
    random_weights: bool
    v2: dict[Key, Grounding] = field(default_factory=dict)
    paper_v1: dict[Key, float] = field(default_factory=dict)
    tests: list[Tried] = field(default_factory=list)

    @property
    def metric(self) -> str:
        """The metric whose figures these are."""
        return "clip-score"

    @property
    def label(self) -> str | None:
        """What to know before believing them."""
        return "random weights" if self.random_weights else None

    def value(self, profile: str, key: Key) -> float | None:
        """The profile's `clip-score` of one answer."""
        if profile == "paper-v1":
            return self.paper_v1.get(key)
        grounding = self.v2.get(key)
        return grounding.score if grounding else None


@dataclass(frozen=True, slots=True)
class Measured:
    """An answer with its figures by profile."""

    answer: GivenAnswer
    values: dict[str, Values]
    parseable: dict[str, bool]
    violation: str | None
    """The format rule that it breaks."""


def measure_answer(
    answer: GivenAnswer,
    form: AnswerForm,
    profiles: Sequence[ProfileName],
    metrics: Sequence[Metric],
    computed: Sequence[Computed] = (),
    asked: Asked = NOTHING_ASKED,
) -> Measured:
    """Figures of one answer under each profile; an answer that could not be generated has none."""
    nothing: dict[str, Values] = {
        profile: {metric.name: None for metric in metrics if profile in metric.definitions} for profile in profiles
    }
    if answer.text is None:
        return Measured(answer, nothing, {}, None)
    values: dict[str, Values] = {}
    over_all = {figures.metric: figures for figures in computed}
    readings = {profile: form.read(answer.text, profile) for profile in profiles}
    for profile, reading in readings.items():
        alone = measure(reading, profile, metrics, asked)
        values[profile] = {
            metric.name: figure(over_all[metric.name].value(profile, answer.key), metric, profile)
            if metric.name in over_all
            else alone.get(metric.name)
            for metric in metrics
            if profile in metric.definitions
        }
    parseable: dict[str, bool] = {profile: bool(reading.passages) for profile, reading in readings.items()}
    return Measured(answer, values, parseable, readings[profiles[0]].flaw)
