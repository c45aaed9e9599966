"""Stage `select`: the samples that every arm gets, found once as the recipe finds them, and committed.

Its artifact lies in a folder named by its own content: samples that changed make another one, whatever their place.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fabula_api.artifact import artifact_digest
from fabula_api.details import SampleSetDetails
from fabula_api.eval_run import EvalRunSpec
from fabula_api.recipes import metrics_of, sample_format
from fabula_api.status import Lineage
from fabula_workloads.metrics.brought import function_of
from fabula_workloads.recipe_parts.evaluation import evaluation_of
from fabula_workloads.runtime.artifact import add_parts, commit, part_of
from fabula_workloads.runtime.by_content import made_before
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.samples.found import FoundSample, Search, place_of
from fabula_workloads.samples.sample_set import LINES

KIND = "sample-set"
_log = logging.getLogger(__name__)


def run(context: StageContext) -> StageResult:
    """Choose up to `samples.count` samples and commit them as an artifact of kind `sample-set`.

    Fewer than `count` are taken as they are: the counts and the report say how many there were. None is InputInvalid.
    """
    spec = context.spec_of(EvalRunSpec)
    evaluation, layout = evaluation_of(spec.recipe), sample_format(spec)
    check_metrics(spec)
    finder = evaluation.formats.get(layout)
    if finder is None:
        raise ConfigInvalid(
            f"samples.format: the recipe {spec.recipe} names {layout}, but its parts in this image find samples in "
            f"{', '.join(sorted(evaluation.formats))}"
        )
    with context.scratch() as scratch:
        search = Search(context, spec, scratch)
        samples = finder(search)
        if not samples:
            raise InputInvalid(
                f"samples: {place_of(context, spec)} holds no usable {evaluation.item}: {_why(search.tally)}"
            )
        if len(samples) < spec.samples.count:
            _log.warning(
                "%d samples were asked for, %d are usable: %s", spec.samples.count, len(samples), _why(search.tally)
            )
        counts = {f"{evaluation.item}/ok": float(len(samples))} | {
            name: float(count) for name, count in sorted(search.tally.items())
        }
        context.reporter.update(done=len(samples), total=len(samples), counts=counts)
        return _commit(context, spec, layout, _contents(samples), counts)


def check_metrics(spec: EvalRunSpec) -> None:
    """Raise ConfigInvalid for a metric that cannot be computed here: now, not once all answers are paid for."""
    known = metrics_of(spec.recipe)
    for position, name in enumerate(spec.metrics):
        if name not in known:
            raise ConfigInvalid(f"metrics[{position}]: the recipe {spec.recipe} of this image has no {name}")
        for profile in spec.profiles:
            if profile in known[name].definitions:
                function_of(known[name], profile)


def _commit(
    context: StageContext,
    spec: EvalRunSpec,
    layout: str,
    contents: list[tuple[str, bytes | Path]],
    counts: dict[str, float],
) -> StageResult:
    samples = spec.samples
    named = artifact_digest(KIND, [part_of(path, content) for path, content in contents])
    place, before = made_before(context, KIND, named)
    lineage = [Lineage(name="samples", uri=place.uri, digest=named)]
    if before is not None:
        return replace(before, lineage=lineage)
    manifest = commit(
        place,
        kind=KIND,
        key=context.config.key,
        parts=add_parts(place, contents),
        counts=counts,
        lineage=[Lineage(name="samples", uri=place_of(context, spec))],
        details=SampleSetDetails(format=layout, asked=samples.count, seed=samples.seed),
        attempt=context.config.attempt,
    )
    return StageResult(artifact=manifest, uri=place.uri, counts=counts, lineage=lineage)


def _contents(samples: Sequence[FoundSample]) -> list[tuple[str, bytes | Path]]:
    """The parts of the samples: their files, and the lines of samples.jsonl."""
    files = [file for sample in samples for file in sample.files]
    records = (sample.record.model_dump(mode="json", exclude_defaults=True) for sample in samples)
    lines = "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)
    return [*files, (LINES, lines.encode())]


def _why(tally: Counter[str]) -> str:
    skipped = [f"{count} {name.rpartition('/')[2]}" for name, count in sorted(tally.items())]
    return ", ".join(skipped) or "the source has no more"
