"""What a recipe brings to the report: its words, how samples and answers are shown, sections and files of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import ProfileName
from fabula_workloads.judging.figures import Judged
from fabula_workloads.metrics.evaluation import Evaluation
from fabula_workloads.report.markup import Markup, tag
from fabula_workloads.samples.sample_set import EvaluationSample
from fabula_workloads.text.words import num_words


@dataclass(frozen=True, slots=True)
class Told:
    """What a report tells of."""

    evaluation: Evaluation
    samples: Mapping[str, EvaluationSample]
    """By id, in the order in which they are shown."""
    pictures: Mapping[str, Sequence[str]]
    """Each sample's thumbnails as data URIs."""
    judged: Judged = field(default_factory=Judged)
    """What the judges hold of the answers."""
    spec: EvalRunSpec | None = None
    """What was asked for, where a run did."""
    recipe: str = "?"
    """Whose report it is."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading of its own."""

    title: str
    hint: str
    """A sentence below the heading."""
    content: Callable[[Told], Markup]
    figures: bool = False
    """It stands with the figures, before the samples, and else after them."""


def _text(text: str) -> Markup:
    return tag("pre", text or "(no text)")


def _words(text: str) -> str:
    return f"{num_words(text)} words"


def _reference(sample: EvaluationSample) -> Markup:
    return tag("p", tag("b", "Reference"), " ", sample.reference, class_="plain") if sample.reference else Markup("")


def _no_files(told: Told) -> Mapping[str, bytes]:
    return {}


@dataclass(frozen=True, slots=True)
class ReportParts:
    """The usual: an answer is text, shown as text, below its sample's pictures and reference."""

    item: str = "sample"
    """What is asked about, for people."""
    items: str = "samples"
    """Several of them."""
    about_items: str = "What every arm was shown, and what each of them said."
    """Below the heading over them."""
    about_profiles: Mapping[ProfileName, str] = field(default_factory=dict)
    """What each profile's definitions mean for the recipe's answers, in a sentence behind the profile's own."""
    asked: Callable[[EvaluationSample], Markup] = _reference
    """What belongs to a sample, between its pictures and the answers."""
    shown: Callable[[str], Markup] = _text
    """An answer. What a model wrote is foreign text: build it with `tag`, which escapes."""
    counted: Callable[[str], str] = _words
    """How much an answer is, in a few words."""
    sections: Sequence[Section] = ()
    """In the order in which they stand."""
    files: Callable[[Told], Mapping[str, bytes]] = _no_files
    """Further parts of the report's artifact, by path."""


PLAIN = ReportParts()
