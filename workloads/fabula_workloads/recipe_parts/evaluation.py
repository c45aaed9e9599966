"""The record with which a recipe says how its evaluations are made; one that names none has the plain way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fabula_api.arms import Generation
from fabula_api.eval_run import EvalRunSpec
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.judging.questions import OwnQuestions
from fabula_workloads.metrics.answer_files import AnswerReader, FilesReader, text_files
from fabula_workloads.metrics.answer_form import PLAIN as PLAIN_ANSWERS
from fabula_workloads.metrics.answer_form import AnswerForm
from fabula_workloads.models.loading import Device
from fabula_workloads.recipe_parts.named import named
from fabula_workloads.report.parts import PLAIN as PLAIN_REPORT
from fabula_workloads.report.parts import ReportParts
from fabula_workloads.runtime.installed import installed_recipe
from fabula_workloads.samples.found import Finder
from fabula_workloads.samples.held_out import held_out
from fabula_workloads.samples.sample_set import EvaluationSample


@dataclass(frozen=True, slots=True)
class VideoAsked:
    """A video to watch, and with what."""

    video: Path
    model: Path
    tuned: Path
    pixels: PixelWindow
    device: Device
    most_tokens: int
    """Of one reply."""
    question: str | None = None
    """What is asked at its beginning."""


def _plain_formats() -> dict[str, Finder]:
    return {"dataset": held_out}


@dataclass(frozen=True, slots=True)
class EvaluationParts:
    """What the stages of an EvalRun ask a recipe for. `Recipe.evaluation` names it as text."""

    formats: Mapping[str, Finder] = field(default_factory=_plain_formats)
    """How samples are found, by `samples.format`: each of `Recipe.sample_formats`."""
    sample: type[EvaluationSample] = EvaluationSample
    """What a sample holds: one line of the set. Finders give such records."""
    item: str = "sample"
    """The kind under which `select` counts what it took and left out."""
    open_engine: Callable[[Any], Any] | None = None
    """Opens an engine of its own (`inference.request.Engine`) from an `inference.opening.Opening`; without one, a chat
    model answers."""
    over_chat: Callable[[EvalRunSpec, Callable[[Generation], Any], int], Any] | None = None
    """Makes an engine over a served chat model, for a recipe that asks several times for one answer: of the run, of
    what opens the server's engine with other settings, and of the requests that may be in flight. Without it a served
    model answers as it is."""
    watch: Callable[[VideoAsked, Callable[[float, str], None]], None] | None = None
    """Watches a video with a model of the recipe, for `fabula tell --video`: tells each reply and its second once it is
    made. Raises InputInvalid or UnfitAdapter."""
    answers: AnswerForm = PLAIN_ANSWERS
    """How an answer is read."""
    answer_files: AnswerReader = text_files
    """How answers that lie in a folder already are found, for `fabula score`."""
    scored_files: FilesReader | None = None
    """How references and answers are found in the files that `fabula score` is given, for a recipe whose metrics read
    references; folders are read by `answer_files`, each by itself."""
    own_questions: Mapping[str, OwnQuestions] = field(default_factory=dict)
    """How judges are asked by those of the recipe's rubrics that are no points for each answer by itself."""
    report: ReportParts = PLAIN_REPORT
    """What the report shows beside figures."""


def evaluation_of(recipe: str) -> EvaluationParts:
    """The evaluation parts of an installed recipe. Raises ConfigInvalid where what it names cannot be imported."""
    evaluation = installed_recipe(recipe).evaluation
    if evaluation is None:
        return EvaluationParts()
    return named(recipe, "evaluation parts", evaluation, EvaluationParts)
