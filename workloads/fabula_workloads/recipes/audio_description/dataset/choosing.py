"""Which rows become samples, and what became of every other one."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from fabula_api.recipes.audio_description.build import AudioDescriptionBuild
from fabula_workloads.recipe_parts.datasets import Chosen
from fabula_workloads.recipes.audio_description.annotations.rows import Row
from fabula_workloads.recipes.audio_description.films.records import Collected
from fabula_workloads.recipes.audio_description.films_of import item_of
from fabula_workloads.recipes.audio_description.sample import NarrationSample, Previous

NarrationChosen: TypeAlias = Chosen[Row, NarrationSample]


def choose(
    rows: Iterable[Row],
    outcomes: Mapping[str, Collected],
    block: AudioDescriptionBuild,
    target: int | None,
    faces: Container[str],
) -> list[NarrationChosen]:
    """Every row in order. `outcomes` are those of `collect`, by film; `faces` the exemplars that there are."""
    chosen: list[NarrationChosen] = []
    taken = 0
    for row in rows:
        became = _sample(row, outcomes[item_of(row)], block, faces)
        if isinstance(became, NarrationSample) and target is not None and taken >= target:
            became = "TargetReached"
        if isinstance(became, str):
            chosen.append(Chosen(row, None, became))
        else:
            taken += 1
            chosen.append(Chosen(row, became))
    return chosen


def _sample(row: Row, film: Collected, block: AudioDescriptionBuild, faces: Container[str]) -> NarrationSample | str:
    rejected = film.rejected
    if reason := rejected.get(row.clip.key):
        return reason
    if film.path is None:
        return "MissingKey"
    if block.max_words is not None and len(row.text.split()) > block.max_words:
        return "TooLong"
    before = row.before
    seen = before is not None and before.clip.key not in rejected
    if block.selection == "reference" and not seen:
        return "NoPrevious" if before is None else "PreviousMissing"
    return NarrationSample(
        id=row.id,
        source=row.source,
        film=row.film,
        title=row.title,
        start=row.clip.start,
        end=row.clip.end,
        text=row.text,
        features=film.path,
        clip=row.clip.key,
        previous=None if before is None else Previous(text=before.text, clip=before.clip.key if seen else None),
        characters=tuple(face if face.exemplar in faces else face.replace(exemplar=None) for face in row.characters),
        named=row.named,
        pictures=film.pictures.path if film.pictures is not None else None,
        shown=film.pictures.shown.get(row.clip.key, ()) if film.pictures is not None else (),
    )


def with_scores(
    chosen: Iterable[NarrationChosen], scores: Mapping[tuple[str, str], float], block: AudioDescriptionBuild
) -> list[NarrationChosen]:
    """The same, where in sources with learned scores only those characters are told of whose score is high enough; one
    that has none is never told of."""
    least = {source.name: source.threshold for source in block.sources if source.chosen == "learned"}
    rescored = []
    for choice in chosen:
        sample = choice.sample
        if sample is not None and (needed := least.get(sample.source)) is not None:
            told = tuple(face for face in sample.characters if scores.get((sample.id, face.id), -1.0) >= needed)
            choice = replace(choice, sample=NarrationSample(**{**dict(sample), "characters": told}))
        rescored.append(choice)
    return rescored
