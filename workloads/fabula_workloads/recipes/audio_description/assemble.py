"""Stage `assemble`: rows and features become a dataset, which depends on nothing but their content."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fabula_api.recipes.audio_description.build import AudioDescriptionBuildSpec
from fabula_api.summary import DatasetSummary
from fabula_workloads.recipe_parts.datasets import by_split, commit_dataset
from fabula_workloads.recipe_parts.source_rows import lines_of, stored_rows
from fabula_workloads.recipes.audio_description.annotations.rows import Row
from fabula_workloads.recipes.audio_description.dataset.card import card, told_and_named
from fabula_workloads.recipes.audio_description.dataset.choosing import NarrationChosen, choose, with_scores
from fabula_workloads.recipes.audio_description.details import PROMPT_VERSION, NarrationDatasetDetails
from fabula_workloads.recipes.audio_description.faces import faces_of
from fabula_workloads.recipes.audio_description.films.records import Collected
from fabula_workloads.recipes.audio_description.ingest import KIND
from fabula_workloads.recipes.audio_description.refinement.records import KIND as REFINEMENT
from fabula_workloads.recipes.audio_description.refinement.records import Measured, read_measured, read_scores
from fabula_workloads.recipes.audio_description.sample import EXEMPLARS, NarrationSample
from fabula_workloads.runtime.artifact import add_parts
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.kept_files import fetched_file
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.runtime.store import Store


def run(context: StageContext) -> StageResult:
    """The `assemble` stage."""
    spec = context.spec_of(AudioDescriptionBuildSpec)
    block = spec.audio_description
    narration, ingest = context.read_artifact("ingest", KIND)
    rows = stored_rows(narration, Row)
    faces = faces_of(context, narration, rows)
    collected = context.open_input("collect")
    outcomes = dict(Outcomes(collected, Collected).items())
    chosen = choose(rows, outcomes, block, spec.target.samples, faces)
    measured: list[Measured] = []
    if block.learns_who:
        refined, _ = context.read_artifact("refine", REFINEMENT)
        chosen, measured = with_scores(chosen, read_scores(refined), block), read_measured(refined)
    samples = [choice.sample for choice in chosen if choice.sample is not None]
    counts = _counts(chosen, samples)
    if not samples:
        raise InputInvalid(f"no row became a sample: {_reasons(chosen)}", "NoSamples")
    splits = by_split(samples, block.sources, block.split, lambda sample: sample.film)
    shape = _shape(samples, outcomes)
    _check_faces(samples, faces, shape)
    with context.scratch() as scratch:
        about = card(chosen, splits, shape, measured)
        files = _files(context, collected, outcomes, chosen, splits, faces, about, scratch)
        parts = add_parts(context.store, files)
    context.check_stop()
    by_name = {name: len(members) for name, members in splits.items()}
    summary = DatasetSummary(samples_by_split=by_name)
    details = NarrationDatasetDetails(
        recipe=spec.recipe,
        prompt_version=PROMPT_VERSION,
        splits=by_name,
        summary=summary,
        feature_shape=tuple(shape),
    )
    return commit_dataset(context, ingest, parts, counts, details)


def _counts(chosen: Sequence[NarrationChosen], samples: Sequence[NarrationSample]) -> dict[str, int]:
    skipped = Counter(choice.reason for choice in chosen if choice.reason)
    counts = {"sample/ok": len(samples)} | {f"sample/skipped/{why}": count for why, count in sorted(skipped.items())}
    return counts | {
        "sample/withPrevious": sum(
            sample.previous is not None and sample.previous.clip is not None for sample in samples
        ),
        "sample/characters": sum(len(sample.characters) for sample in samples),
        "description/words": sum(len(sample.text.split()) for sample in samples),
        "character/named": sum(len(set(sample.named)) for sample in samples),
        "character/toldAndNamed": sum(told_and_named(sample) for sample in samples),
    }


def _reasons(chosen: Sequence[NarrationChosen]) -> str:
    """The most frequent reasons, each with a row it befell and what would work."""
    first: dict[str, NarrationChosen] = {}
    for choice in chosen:
        first.setdefault(choice.reason or "", choice)
    counts = Counter(choice.reason or "" for choice in chosen)
    told = []
    for reason, count in counts.most_common(3):
        row = first[reason].row
        told.append(f"{count} for {reason}, such as {row.source}, {row.place} (bank entry {row.clip.entry})")
    hint = "; look at bank.layout, and whether the bank is that of these annotations" if "MissingKey" in counts else ""
    return "; ".join(told) + hint if told else "there are no rows"


def _shape(samples: Sequence[NarrationSample], outcomes: Mapping[str, Collected]) -> list[int]:
    """Shape of a frame's features. Raises InputInvalid where two films differ."""
    by_path = {film.path: list(film.shape) for film in outcomes.values() if film.path}
    first = samples[0]
    for sample in samples:
        if by_path[sample.features] != by_path[first.features]:
            raise InputInvalid(
                f"features of a frame are {by_path[first.features]} in {first.source} (film {first.film}) but "
                f"{by_path[sample.features]} in {sample.source} (film {sample.film}); one dataset has one shape: build "
                "two, or use banks of one model"
            )
    return list(by_path[first.features])


def _check_faces(samples: Sequence[NarrationSample], faces: Mapping[str, Any], shape: Sequence[int]) -> None:
    """Raise InputInvalid for an exemplar that is not of the features' kind: of their width, and as many in a frame."""
    for sample in samples:
        for character in sample.characters:
            has = list(faces[character.exemplar].shape) if character.exemplar is not None else []
            if has and (has[-1] != shape[-1] or (len(shape) > 1 and has != list(shape))):
                raise InputInvalid(
                    f"sample {sample.id}: the exemplar {character.exemplar} has features {has}, but a frame's are "
                    f"{list(shape)}; use exemplars and a bank of one model"
                )


def _files(
    context: StageContext,
    collected: Store,
    outcomes: Mapping[str, Collected],
    chosen: Sequence[NarrationChosen],
    splits: Mapping[str, Sequence[NarrationSample]],
    faces: Mapping[str, Any],
    about: str,
    scratch: Path,
) -> Iterator[tuple[str, bytes | Path]]:
    """(path, content) of every part, made one by one."""
    from safetensors.numpy import save

    samples = [sample for members in splits.values() for sample in members]
    needed = {sample.features for sample in samples}
    stored = sorted((film for film in outcomes.values() if film.path in needed), key=lambda film: film.path or "")
    for done, film in enumerate(stored, 1):
        context.check_stop()
        for part in (film, film.pictures):
            if part is not None and part.path is not None:
                yield part.path, fetched_file(collected, part.path, part.sha256, scratch)
        context.reporter.update(done=done, total=len(stored))
    shown = {character.exemplar for sample in samples for character in sample.characters}
    yield EXEMPLARS, save({key: value for key, value in faces.items() if key in shown})
    for split, members in splits.items():
        yield f"{split}.jsonl", lines_of(members)
    yield "rows.jsonl", "".join(_told(choice) for choice in chosen).encode()
    yield "README.md", about.encode()


def _told(choice: NarrationChosen) -> str:
    row = choice.row
    told = {"id": row.id, "source": row.source, "place": row.place, "film": row.film, "entry": row.clip.entry,
            "outcome": "used" if choice.sample else "skipped", "reason": choice.reason}  # fmt: skip
    return json.dumps(told, ensure_ascii=False) + "\n"
