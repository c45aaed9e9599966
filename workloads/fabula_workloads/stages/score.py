"""Stage `score`: every arm's answers measured, compared and judged against the gates; a report that people read."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

from yaml import YAMLError

from fabula_api.details import Details
from fabula_api.eval_run import EvalRunSpec
from fabula_api.recipes import metrics_of
from fabula_api.shared_spec import ModelSource
from fabula_api.status import Lineage
from fabula_api.summary import ScoreSummary
from fabula_workloads.judging.figures import Judged, points_of
from fabula_workloads.judging.gates import judged_gate
from fabula_workloads.judging.summary import judges_found
from fabula_workloads.metrics.brought import brought, function_of, label
from fabula_workloads.metrics.evaluation import Evaluation, evaluate
from fabula_workloads.metrics.materials import Computed, EvaluationMetric, Materials
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.metrics.summary import SUMMARY_LIMIT, summarize, wire_size
from fabula_workloads.models.model_folder import model_folder, model_label
from fabula_workloads.models.threads import limit_threads
from fabula_workloads.pictures.opening import UnfitPicture
from fabula_workloads.recipe_parts import RecipeParts, parts_of
from fabula_workloads.recipe_parts.evaluation import EvaluationParts, evaluation_of
from fabula_workloads.report.document import document
from fabula_workloads.report.judges import judges_document, verdicts_csv
from fabula_workloads.report.page import page
from fabula_workloads.report.parts import Told
from fabula_workloads.report.tables import results_csv, results_parquet, samples_csv, summary_csv
from fabula_workloads.report.thumbnails import thumbnail
from fabula_workloads.report.tracked import tracked_figures
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.samples.sample_set import EvaluationSample, read_sample_set
from fabula_workloads.stages.answers import read_answers
from fabula_workloads.stages.judged import read_judges
from fabula_workloads.stages.origins import Origin, behind, own_code, read_origins
from fabula_workloads.tracking.tracker import About
from fabula_workloads.tracking.trackers import Trackers, tracked

_log = logging.getLogger(__name__)


def run(context: StageContext) -> StageResult:
    """Score all arms and commit the report. Raises InputInvalid when an answer is missing."""
    spec = context.spec_of(EvalRunSpec)
    known = [given for given in context.config.inputs if given.digest.startswith("sha256:")]
    tags = {f"fabula.dev/{given.name}-digest": given.digest for given in known}
    about = About(context.config.run, context.config.attempt, 0, _settings(spec), tags)
    with tracked(about, os.environ) as trackers:
        return _score(context, spec, trackers)


def _score(context: StageContext, spec: EvalRunSpec, trackers: Trackers) -> StageResult:
    select, chosen = context.open_artifact("select", "sample-set")
    folder = context.fetch_artifact(select, chosen)
    parts = evaluation_of(spec.recipe)
    samples = read_sample_set(select, parts.sample)
    pictures = {sample.id: [folder / path for path in sample.images] for sample in samples}
    context.reporter.update(done=0, total=len(spec.metrics))
    answers = [answer for arm in spec.arms for answer in read_answers(context, spec, arm.name, samples)]
    try:
        by_id = {sample.id: sample for sample in samples}
        judged = read_judges(context, spec)
        computed = _computed(context, spec, answers, pictures, by_id, parts, points_of(judged))
        evaluation = evaluate(spec, answers, computed, parts.answers)
        context.check_stop()
        context.reporter.update(done=len(spec.metrics), total=len(spec.metrics))
        gates = [
            (gate, judged_gate(gate, judged, evaluation.baseline) or outcome) for gate, outcome in evaluation.gates
        ]
        evaluation = replace(evaluation, gates=gates)
        result = _commit(context, spec, evaluation, judged, pictures, by_id, parts)
        trackers.log({"step": 0, **tracked_figures(evaluation, judged)})
        return result
    except UnfitPicture as error:
        of = next((sample for sample, paths in pictures.items() if error.path in paths), "")
        raise InputInvalid(f"{select.uri}: sample {of}: {error.path} {error.what}; choose the samples anew") from error


def _computed(
    context: StageContext,
    spec: EvalRunSpec,
    answers: Sequence[GivenAnswer],
    pictures: dict[str, list[Path]],
    samples: dict[str, EvaluationSample],
    parts: EvaluationParts,
    points: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> list[Computed]:
    """The figures of those metrics that look at all answers at once."""

    def model(source: ModelSource, field: str) -> tuple[Path, str]:
        limit_threads(spec.resources, 1)
        return model_folder(context, source, field, field), model_label(source)

    learned = partial(_training_texts, context, parts_of(spec.recipe)) if spec.training_set else None
    known = metrics_of(spec.recipe)
    computed: list[Computed] = []
    for metric in (known[name] for name in dict.fromkeys(spec.metrics)):
        profiles = [profile for profile in dict.fromkeys(spec.profiles) if profile in metric.definitions]
        if metric.over == "evaluation" and profiles:
            measure: EvaluationMetric = function_of(metric, profiles[0])
            given = Materials(
                spec, profiles, answers, pictures, samples, parts.answers, model, context.check_stop, learned, points
            )
            with brought(label(metric, profiles[0])):
                computed.append(measure(given))
    return computed


def _training_texts(context: StageContext, parts: RecipeParts) -> Iterator[str]:
    """The targets of the dataset that the arms were tuned on. Raises InputInvalid where it has none to compare."""
    store, manifest = context.open_artifact("trainingSet", "dataset")
    folder = context.fetch_artifact(store, manifest, but_pictures=True)
    with (folder / "train.jsonl").open() as lines:
        for number, line in enumerate(lines, 1):
            response = getattr(parts.sample.model_validate_json(line), "response", None)
            if not isinstance(response, str):
                raise InputInvalid(
                    f"{store.uri}: line {number} of train.jsonl has no response, so nothing of it can be looked for; "
                    "take training-overlap out of metrics"
                )
            yield response


def _commit(
    context: StageContext,
    spec: EvalRunSpec,
    evaluation: Evaluation,
    judged: Judged,
    pictures: dict[str, list[Path]],
    samples: dict[str, EvaluationSample],
    parts: EvaluationParts,
) -> StageResult:
    lineage = [Lineage(name=given.name, uri=given.uri, digest=given.digest) for given in context.config.inputs]
    origins = read_origins(context, spec)
    settings = _settings(spec) | _made_with(spec, chain.from_iterable(origins.values()))
    judges = judges_found(judged)
    room = SUMMARY_LIMIT - (wire_size(judges) if judges else 0)
    summary = ScoreSummary.model_validate(summarize(evaluation, room) | ({"judges": judges} if judges else {}))
    thumbnails = {sample: [thumbnail(path) for path in paths] for sample, paths in pictures.items()}
    told = Told(evaluation, samples, thumbnails, judged, spec, recipe=spec.recipe)
    shown = [*lineage, *behind(origins)]
    html = page(told, name=context.config.run.name, lineage=shown, settings=settings, parts=parts.report)
    report = document(evaluation, shown, settings) | ({"judges": judges_document(judged)} if judged.judges else {})
    files = {
        "report.html": html,
        "report.json": json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False) + "\n",
    }
    files["results.csv"] = results_csv(evaluation)
    for profile in evaluation.profiles:
        suffix = "" if profile == evaluation.profile else f"-{profile}"
        files[f"samples{suffix}.csv"] = samples_csv(evaluation, profile, pictures)
        files[f"summary{suffix}.csv"] = summary_csv(evaluation, profile)
    if judged.judges:
        files["verdicts.csv"] = verdicts_csv(judged)
    contents = {path: text.encode() for path, text in files.items()}
    contents["results.parquet"] = results_parquet(evaluation)
    with brought(f"what the recipe {spec.recipe} writes beside its report"):
        contents |= dict(parts.report.files(told))
    contents |= _cards(told, origins, context.open_artifact("select", "sample-set")[1].digest, parts)
    written = [add_part(context.store, path, content) for path, content in contents.items()]
    counts = {"sample/ok": float(len(pictures)), "answer/ok": float(sum(arm.done for arm in evaluation.arms))}
    if failed := sum(arm.failed for arm in evaluation.arms):
        counts["answer/failed"] = float(failed)
    manifest = commit(
        context.store,
        kind="report",
        key=context.config.key,
        parts=written,
        counts=counts,
        lineage=lineage,
        details=Details(summary=summary),
        attempt=context.config.attempt,
    )
    return StageResult(artifact=manifest, counts=counts, summary=summary)


def _cards(
    told: Told, origins: Mapping[str, Sequence[Origin]], samples: str, parts: EvaluationParts
) -> dict[str, bytes]:
    """The card of each arm that was tuned, with its figures."""
    cards = {arm: next((origin.card for origin in made if origin.card), "") for arm, made in origins.items()}
    written: dict[str, bytes] = {}
    for arm, card in cards.items():
        if not card:
            continue
        from fabula_workloads.report.evaluated_card import evaluated_card  # the Hub's library comes with models'

        try:
            text = evaluated_card(card, told, arm, samples=samples, code=own_code(), parts=parts.report)
        except (ValueError, YAMLError) as error:
            _log.warning("arm %s: its adapter's README.md is no model card, so none is written: %s", arm, error)
            continue
        written[f"cards/{arm}.md"] = text.encode()
    return written


def _made_with(spec: EvalRunSpec, origins: Iterable[Origin]) -> dict[str, str | int | float | bool]:
    """The code that answered and scored, and the prompt in its words."""
    usual = "" if spec.prompt else parts_of(spec.recipe).inference_prompt()
    answered = ", ".join(sorted({origin.code for origin in origins})) or "an earlier version"
    return {"answered by": answered, "scored by": own_code(), "prompt asked": spec.prompt or usual}


def _settings(spec: EvalRunSpec) -> dict[str, str | int | float | bool]:
    """What decided the answers, for people."""
    generation = spec.generation
    arms = {
        f"arm {arm.name}": model_label(arm.model)
        + (f" with adapter {arm.adapter.ref or arm.adapter.uri}" if arm.adapter else "")
        for arm in spec.arms
    }
    return {
        **arms,
        "pixels": f"{spec.pixels.min_pixels} to {spec.pixels.max_pixels}",
        "generation": f"temperature {generation.temperature:g}, top-p {generation.top_p:g}, "
        f"at most {generation.max_new_tokens} tokens, seeds {', '.join(map(str, generation.seeds))}",
        "prompt": "given in the run" if spec.prompt else "the recipe's",
        **({"CLIP model": model_label(spec.clip_model)} if "clip-score" in spec.metrics else {}),
    }
