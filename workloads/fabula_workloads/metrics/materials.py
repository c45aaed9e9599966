"""All answers and samples of an evaluation, as the function of a metric over them sees them, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fabula_api.eval_measures import Measures
from fabula_api.metrics import ProfileName
from fabula_api.shared_spec import ModelSource
from fabula_workloads.metrics.answer_form import AnswerForm
from fabula_workloads.metrics.records import GivenAnswer, Key, Tried
from fabula_workloads.samples.sample_set import EvaluationSample


@dataclass(frozen=True, slots=True)
class Materials:
    """What a metric over a whole evaluation is given."""

    spec: Measures
    """What is measured, with the models that metrics ask."""
    profiles: Sequence[ProfileName]
    """Those under which the metric is defined."""
    answers: Sequence[GivenAnswer]
    pictures: Mapping[str, Sequence[Path]]
    """Files of each sample."""
    samples: Mapping[str, EvaluationSample]
    """Each sample as its recipe found it."""
    form: AnswerForm
    """How the recipe reads answers."""
    model: Callable[[ModelSource, str], tuple[Path, str]]
    """Local folder of a model and its name for people, by its source and the spec field that an error names."""
    progress: Callable[[], None]
    """To be called between parts of the work."""
    training_texts: Callable[[], Iterable[str]] | None = None
    """Targets of the dataset that the arms were tuned on, where one is given."""
    points: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    """Points that judges gave, of those that give any: by rubric, arm and sample, a mean over judges and seeds."""


class Computed(Protocol):
    """The figures of a metric over a whole evaluation."""

    @property
    def metric(self) -> str:
        """Its name."""

    @property
    def label(self) -> str | None:
        """What to know before believing it, such as `random weights`."""

    @property
    def tests(self) -> Sequence[Tried]:
        """What it was tried with."""

    def value(self, profile: str, key: Key) -> float | None:
        """The figure of one answer."""


EvaluationMetric = Callable[[Materials], Computed]
