"""Answers in folders, one folder an arm, through the metrics, statistics and report of an EvalRun."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fabula_api.asked import Asked
from fabula_api.eval_measures import Measures
from fabula_api.metrics import ProfileName
from fabula_api.recipes import asked_of, broken, default_metrics, metrics_of, recipes
from fabula_api.shared_spec import ArtifactSource, ModelSource, RunSpec
from fabula_workloads.metrics.answer_files import arms_in, pictures_in
from fabula_workloads.metrics.brought import brought, function_of, label
from fabula_workloads.metrics.design import Design
from fabula_workloads.metrics.evaluation import Evaluation, evaluate
from fabula_workloads.metrics.materials import Computed, Materials
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipe_parts.evaluation import EvaluationParts, evaluation_of
from fabula_workloads.report.document import document
from fabula_workloads.report.page import page
from fabula_workloads.report.parts import Told
from fabula_workloads.report.tables import results_csv, samples_csv, summary_csv
from fabula_workloads.samples.sample_set import EvaluationSample

DEFAULT_RECIPE: str = RunSpec.model_fields["recipe"].default
"""Of a spec that names none."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is measured of answers that lie in folders."""

    recipe: str = DEFAULT_RECIPE
    profiles: tuple[ProfileName, ...] = ("v2",)
    metrics: tuple[str, ...] = ()
    """Default: the recipe's, as far as no model is needed that is not given."""
    baseline: str | None = None
    """Default: the first arm."""
    pictures: Path | None = None
    """Folder with a folder of pictures for each sample, where they lie elsewhere."""
    clip_model: Path | None = None
    embedding_model: Path | None = None
    training_set: Path | None = None
    """`train.jsonl`, or the folder that it lies in."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What came out, and what a report shows beside it."""

    recipe: str
    evaluation: Evaluation
    parts: EvaluationParts
    pictures: Mapping[str, Sequence[Path]]
    settings: Mapping[str, str]
    given: Mapping[str, EvaluationSample]
    """Samples with their references, where files had them."""

    @property
    def samples(self) -> list[str]:
        """In order."""
        return list(dict.fromkeys(measured.answer.sample for measured in self.evaluation.answers))


def score(folders: Sequence[Path], wishes: Wishes) -> Scored:
    """Measure and compare what lies in the folders. Raises ValueError, saying what is wrong and where."""
    if wishes.recipe not in recipes():
        unknown = f"there is no recipe {wishes.recipe}; installed are {', '.join(sorted(recipes()))}"
        raise ValueError(broken().get(wishes.recipe, unknown))
    parts = evaluation_of(wishes.recipe)
    answers, pictures, given = _answers_in(folders, parts)
    arms = arms_in(answers)
    if wishes.baseline is not None and wishes.baseline not in arms:
        raise ValueError(f"baseline {wishes.baseline} is none of the arms {', '.join(arms)}")
    order = sorted(dict.fromkeys(answer.sample for answer in answers))
    if wishes.pictures is not None:
        pictures |= {name: pictures_in(folder) for name in order if (folder := wishes.pictures / name).is_dir()}
    design = Design(wishes.recipe, tuple(arms), wishes.baseline or arms[0], _measures(wishes, bool(given)))
    answers = _complete(answers, arms, order)
    evaluation = evaluate(design, answers, _computed(design, answers, pictures, given, wishes, parts), parts.answers)
    settings = {"recipe": wishes.recipe, **{f"folder {number}": str(path) for number, path in enumerate(folders, 1)}}
    return Scored(wishes.recipe, evaluation, parts, pictures, settings, given)


def _answers_in(
    paths: Sequence[Path], parts: EvaluationParts
) -> tuple[list[GivenAnswer], dict[str, list[Path]], Mapping[str, EvaluationSample]]:
    """Answers, pictures, and samples with references where there are any."""
    whole = parts.scored_files(paths) if parts.scored_files is not None else None
    if whole is not None:
        return whole.answers, whole.pictures, whole.samples
    answers: list[GivenAnswer] = []
    pictures: dict[str, list[Path]] = {}
    for folder in paths:
        given = parts.answer_files(folder, parts.answers.from_file)
        taken = set(arms_in(answers))
        if twice := taken & set(arms_in(given.answers)):
            raise ValueError(f"{folder}: arm {min(twice)} is there twice; rename one of the folders")
        answers += given.answers
        pictures |= given.pictures
    return answers, pictures, {}


def files_of(scored: Scored, name: str) -> Iterator[tuple[str, str]]:
    """(file name, content) of the report and tables."""
    from fabula_workloads.report.thumbnails import thumbnail

    evaluation, samples = scored.evaluation, scored.samples
    shown = {sample: [thumbnail(path) for path in scored.pictures.get(sample, ())] for sample in samples}
    known = {sample: scored.given.get(sample) or EvaluationSample(id=sample) for sample in samples}
    settings = dict(scored.settings)
    told = Told(evaluation, known, shown, recipe=scored.recipe)
    yield "report.html", page(told, name=name, lineage=[], settings=settings, parts=scored.parts.report)
    report = document(evaluation, [], settings)
    yield "report.json", json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    yield "results.csv", results_csv(evaluation)
    for profile in evaluation.profiles:
        suffix = "" if profile == evaluation.profile else f"-{profile}"
        yield f"samples{suffix}.csv", samples_csv(evaluation, profile, samples)
        yield f"summary{suffix}.csv", summary_csv(evaluation, profile)


def _measures(wishes: Wishes, with_references: bool) -> Measures:
    given = {
        "clip-score": wishes.clip_model,
        "coherence": wishes.embedding_model,
        "training-overlap": wishes.training_set,
    }
    known = metrics_of(wishes.recipe)
    if unknown := [name for name in wishes.metrics if name not in known]:
        raise ValueError(f"the recipe {wishes.recipe} has no metric {unknown[0]}; it has {', '.join(known)}")
    if lacking := [name for name in wishes.metrics if name in given and given[name] is None]:
        raise ValueError(f"the metric {lacking[0]} needs a model or data set: see --help for the option that names it")
    # What a recipe measures over a whole evaluation, it holds against its samples, which files need not have.
    over_evaluation = {name for name, metric in known.items() if "/" in name and metric.over == "evaluation"}
    by_samples = set[str]() if with_references else over_evaluation
    if beyond := [name for name in wishes.metrics if name in by_samples]:
        raise ValueError(f"the metric {beyond[0]} reads the samples with their references: it needs an EvalRun")
    usual = [name for name in default_metrics(wishes.recipe) if name not in given and name not in by_samples]
    names = list(wishes.metrics) or [*usual, *(name for name, path in given.items() if path and name in known)]
    fields = {
        "metrics": names,
        "profiles": list(wishes.profiles),
        "asked": asked_of(wishes.recipe, Asked(), own_prompt=False),
        "embedding_model": ModelSource(uri=str(wishes.embedding_model)) if wishes.embedding_model else None,
        "training_set": ArtifactSource(uri=str(wishes.training_set)) if wishes.training_set else None,
    }
    if wishes.clip_model:
        fields["clip_model"] = ModelSource(uri=str(wishes.clip_model))
    return Measures.model_validate(fields)


def _complete(answers: Sequence[GivenAnswer], arms: Sequence[str], samples: Sequence[str]) -> list[GivenAnswer]:
    """With an outcome for every arm and sample: a file that is not there is an answer that was not given."""
    seeds = sorted({answer.seed for answer in answers})
    given = {answer.key: answer for answer in answers}
    wanted = [(arm, sample, seed) for arm in arms for sample in samples for seed in seeds]
    return [given.get(key) or GivenAnswer(*key, None, reason="NoFile") for key in wanted]


def _computed(
    design: Design,
    answers: Sequence[GivenAnswer],
    pictures: Mapping[str, Sequence[Path]],
    samples: Mapping[str, EvaluationSample],
    wishes: Wishes,
    parts: EvaluationParts,
) -> list[Computed]:
    computed = []
    for metric in design.metrics():
        profiles = [profile for profile in design.measures.profiles if profile in metric.definitions]
        if metric.over != "evaluation" or not profiles:
            continue
        if metric.name == "clip-score" and (bare := sorted({a.sample for a in answers} - pictures.keys())):
            raise ValueError(f"sample {bare[0]} has no pictures; say with --pictures where they are")
        given = Materials(
            design.measures, profiles, answers, pictures, samples, parts.answers,
            lambda source, field: (Path(source.uri or ""), source.uri or ""), lambda: None,
            (lambda: _training_texts(wishes.training_set)) if wishes.training_set else None,
        )  # fmt: skip
        measure = function_of(metric, profiles[0])
        with brought(label(metric, profiles[0])):
            computed.append(measure(given))
    return computed


def _training_texts(path: Path | None) -> Iterator[str]:
    assert path is not None  # asked for only where it was given
    file = path / "train.jsonl" if path.is_dir() else path
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        response = json.loads(line).get("response")
        if not isinstance(response, str):
            raise ValueError(f"{file}: line {number} has no response")
        yield response


def table_of(scored: Scored) -> dict[str, dict[str, dict[str, float]]]:
    """arm -> column -> sample -> figure, of the first profile."""
    evaluation = scored.evaluation
    metrics = evaluation.metrics_under(evaluation.profile)
    return {
        arm.name: {metric.csv_column: arm.samples[evaluation.profile, metric.name] for metric in metrics}
        for arm in evaluation.arms
    }
