"""Stage `refine`: who of a clip's candidates is named, learned from the dataset itself and scored film by film.

The published system had such a model and released its scores alone; this is one in its place.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fabula_api.recipes.audio_description.build import AudioDescriptionBuildSpec
from fabula_workloads.recipe_parts.datasets import by_split
from fabula_workloads.recipe_parts.source_rows import stored_rows
from fabula_workloads.recipes.audio_description.annotations.names import is_named
from fabula_workloads.recipes.audio_description.annotations.rows import Row
from fabula_workloads.recipes.audio_description.dataset.choosing import choose
from fabula_workloads.recipes.audio_description.faces import faces_of
from fabula_workloads.recipes.audio_description.films.records import Collected
from fabula_workloads.recipes.audio_description.ingest import KIND as NARRATION
from fabula_workloads.recipes.audio_description.refinement.evidence import EVIDENCE, evidence
from fabula_workloads.recipes.audio_description.refinement.records import KIND, MEASURED, SCORER, SCORES, Measured
from fabula_workloads.recipes.audio_description.refinement.scorer import AtThreshold, Scorer, at, scored_unseen
from fabula_workloads.recipes.audio_description.sample import NarrationSample
from fabula_workloads.runtime.artifact import add_parts, commit
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.kept_files import fetched_file
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.runtime.store import Store

THRESHOLDS = tuple(place / 10 for place in range(1, 10))


def run(context: StageContext) -> StageResult:
    """Learn, score, and say how well that went."""
    spec = context.spec_of(AudioDescriptionBuildSpec)
    block = spec.audio_description
    narration, _ = context.read_artifact("ingest", NARRATION)
    rows = stored_rows(narration, Row)
    faces = faces_of(context, narration, rows)
    collected = context.open_input("collect")
    outcomes = dict(Outcomes(collected, Collected).items())
    samples = [
        choice.sample
        for choice in choose(rows, outcomes, block, spec.target.samples, faces)
        if choice.sample is not None
    ]
    learned = {source.name for source in block.sources if source.chosen == "learned"}
    splits = by_split(samples, block.sources, block.split, lambda sample: sample.film)
    split_of = {sample.id: split for split, members in splits.items() for sample in members}
    learning = [sample for sample in samples if sample.source in learned]
    examples = _examples(context, learning, faces, collected, outcomes)
    if not examples.keys:
        raise InputInvalid(
            "audioDescription.sources: characters learned needs candidates with exemplars, and no clip has one; give "
            "exemplars or photos, or set characters to candidates"
        )
    validation = {film for film, (name, _) in zip(examples.films, examples.keys, strict=True)
                  if split_of[name] == "validation"}  # fmt: skip
    try:
        scores, scorer = scored_unseen(examples.evidence, examples.named, examples.films, validation)
    except ValueError as error:
        raise InputInvalid(
            f"audioDescription.sources: who is named cannot be learned here: {error}. Set characters to candidates"
        ) from None
    measured = [
        Measured(split=split, threshold=tried.threshold, told=tried.told, right=tried.right, named=tried.named)
        for split in ("train", "validation")
        for tried in _by_threshold(split, split_of, examples, scores)
    ]
    manifest = commit(
        context.store,
        kind=KIND,
        key=context.config.key,
        parts=add_parts(context.store, _files(examples, scores, scorer, measured)),
        counts={"candidate/ok": len(examples.keys), "film/ok": len(set(examples.films))},
        attempt=context.config.attempt,
    )
    return StageResult(manifest, counts={name: float(count) for name, count in manifest.counts.items()})


class _Examples:
    """Candidates of clips, one after the other."""

    def __init__(self) -> None:
        self.evidence: list[Any] = []
        self.named: list[bool] = []
        self.films: list[str] = []
        self.keys: list[tuple[str, str]] = []


def _examples(
    context: StageContext,
    samples: Sequence[NarrationSample],
    faces: Mapping[str, Any],
    collected: Store,
    outcomes: Mapping[str, Collected],
) -> _Examples:
    from safetensors.numpy import load_file

    digests = {film.path: film.sha256 for film in outcomes.values() if film.path}
    by_file: dict[str, list[NarrationSample]] = defaultdict(list)
    for sample in samples:
        by_file[sample.features].append(sample)
    examples = _Examples()
    for done, (file, members) in enumerate(sorted(by_file.items()), 1):
        context.check_stop()
        with context.scratch() as scratch:
            features = load_file(fetched_file(collected, file, digests[file], Path(scratch)))
        for sample in members:
            seen = [character for character in sample.characters if character.exemplar is not None]
            if not seen:
                continue
            shown = [faces[character.exemplar or ""] for character in seen]
            examples.evidence += list(evidence(features[sample.clip], shown))
            examples.named += [is_named(character, sample.text, sample.named) for character in seen]
            examples.films += [sample.film] * len(seen)
            examples.keys += [(sample.id, character.id) for character in seen]
        context.reporter.update(done=done, total=len(by_file))
    return examples


def _by_threshold(split: str, split_of: Mapping[str, str], examples: _Examples, scores: Any) -> list[AtThreshold]:
    places = [place for place, (name, _) in enumerate(examples.keys) if split_of[name] == split]
    if not places:
        return []
    named = [examples.named[place] for place in places]
    return [at(threshold, scores[places], named) for threshold in THRESHOLDS]


def _files(
    examples: _Examples, scores: Any, scorer: Scorer, measured: Sequence[Measured]
) -> list[tuple[str, bytes | Path]]:
    lines = (
        json.dumps({"sample": sample, "person": person, "score": round(float(score), 6), "named": named})
        for (sample, person), score, named in zip(examples.keys, scores, examples.named, strict=True)
    )
    told = [row.model_dump() for row in measured]
    weights = scorer.model_dump() | {"evidence": list(EVIDENCE)}
    return [
        (SCORES, "".join(f"{line}\n" for line in lines).encode()),
        (MEASURED, (json.dumps(told, indent=1) + "\n").encode()),
        (SCORER, (json.dumps(weights, indent=1, sort_keys=True) + "\n").encode()),
    ]
