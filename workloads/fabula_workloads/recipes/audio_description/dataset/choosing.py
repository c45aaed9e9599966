"""Which rows become samples, and what became of every other one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fabula_api.recipes.audio_description.build import AudioDescriptionBuild
from fabula_workloads.recipe_parts.splits import validation_groups
from fabula_workloads.recipes.audio_description.annotations.rows import Row
from fabula_workloads.recipes.audio_description.collect import item_of
from fabula_workloads.recipes.audio_description.sample import NarrationSample, Previous


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row and what became of it."""

    row: Row
    sample: NarrationSample | None
    reason: str | None = None
    """Why it is no sample; None for one that is."""


def choose(
    rows: Iterable[Row], outcomes: Mapping[str, Mapping[str, Any]], block: AudioDescriptionBuild, target: int | None
) -> list[Chosen]:
    """Every row in order. `outcomes` are those of `collect`, by film."""
    chosen: list[Chosen] = []
    taken = 0
    for row in rows:
        found = _sample(row, outcomes[item_of(row)], block)
        if isinstance(found, NarrationSample) and target is not None and taken >= target:
            found = "TargetReached"
        if isinstance(found, str):
            chosen.append(Chosen(row, None, found))
        else:
            taken += 1
            chosen.append(Chosen(row, found))
    return chosen


def _sample(row: Row, outcome: Mapping[str, Any], block: AudioDescriptionBuild) -> NarrationSample | str:
    rejected: Mapping[str, str] = outcome["rejected"]
    if reason := rejected.get(row.clip.key):
        return reason
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
        features=outcome["path"],
        clip=row.clip.key,
        previous=None if before is None else Previous(text=before.text, clip=before.clip.key if seen else None),
        characters=row.characters,
        named=row.named,
    )


def by_split(samples: Iterable[NarrationSample], block: AudioDescriptionBuild) -> dict[str, list[NarrationSample]]:
    """The samples of each split: a source's own, or by film."""
    samples = list(samples)
    split_of = {source.name: source.split for source in block.sources}
    films = {sample.film for sample in samples if split_of[sample.source] == "by-film"}
    validation = validation_groups(films, block.split.validation, block.split.seed)
    splits: dict[str, list[NarrationSample]] = {"train": [], "validation": []}
    for sample in samples:
        own = split_of[sample.source]
        splits[own if own != "by-film" else "validation" if sample.film in validation else "train"].append(sample)
    return splits
