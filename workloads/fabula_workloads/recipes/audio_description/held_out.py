"""Samples of an evaluation from a dataset's validation split, each with the features that a narrator is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fabula_workloads.pictures.packed import contents
from fabula_workloads.recipes.audio_description.annotations.rows import Character
from fabula_workloads.recipes.audio_description.features.shards import Shards
from fabula_workloads.recipes.audio_description.sample import NarrationSample, Previous
from fabula_workloads.samples.found import FoundSample, Search, sample_name
from fabula_workloads.samples.sample_set import EvaluationSample
from fabula_workloads.training.samples.dataset import drawn_from_validation

_CLIP, _BEFORE = "clip", "before"


class NarrationEvaluationSample(EvaluationSample):
    """A clip to describe. Its features lie in a file of their own."""

    source: str
    film: str
    title: str | None = None
    start: float
    end: float
    features: str
    previous: Previous | None = None
    characters: tuple[Character, ...] = ()
    named: tuple[str, ...] = ()
    """Who the reference names."""

    def narration(self) -> NarrationSample:
        """The same as a narrator's encoder reads it."""
        return NarrationSample(
            id=self.id,
            source=self.source,
            film=self.film,
            title=self.title,
            start=self.start,
            end=self.end,
            text=self.reference,
            features=self.features,
            exemplars=self.features,
            clip=_CLIP,
            previous=self.previous,
            characters=self.characters,
            named=self.named,
        )


def held_out(search: Search) -> Sequence[FoundSample]:
    """Samples of the dataset's validation split, films and their clips in order: a fair draw where it has more."""
    folder, drawn = drawn_from_validation(search, NarrationSample, "audioDescription.split.validation")
    taken = sorted(drawn, key=lambda sample: (sample.source, sample.film, sample.start, sample.id))
    shards = Shards(folder)
    return [_sample(shards, number, sample, search) for number, sample in enumerate(taken, 1)]


def _sample(shards: Shards, number: int, sample: NarrationSample, search: Search) -> FoundSample:
    from safetensors.torch import save

    search.context.check_stop()
    name = sample_name(number, sample.id)
    path = f"features/{name}.safetensors"
    tensors: dict[str, Any] = {_CLIP: shards.read(sample.features, sample.clip)}
    previous = sample.previous
    if previous is not None and previous.clip is not None:
        tensors[_BEFORE] = shards.read(sample.features, previous.clip)
        previous = Previous(text=previous.text, clip=_BEFORE)
    characters = []
    for character in sample.characters:
        if character.exemplar is not None:
            tensors[character.id] = shards.read(sample.exemplars, character.exemplar)
        characters.append(character.replace(exemplar=None if character.exemplar is None else character.id))
    pictures = _pictures(shards.folder, sample, name)
    record = NarrationEvaluationSample(
        id=name,
        images=[path for path, _ in pictures],
        reference=sample.text,
        source=sample.source,
        film=sample.film,
        title=sample.title,
        start=sample.start,
        end=sample.end,
        features=path,
        previous=previous,
        characters=tuple(characters),
        named=sample.named,
    )
    return FoundSample(record, [(path, save(tensors)), *pictures])


def _pictures(folder: Path, sample: NarrationSample, name: str) -> list[tuple[str, bytes]]:
    """The clip's pictures, which people look at and no narrator; none where the dataset has features alone."""
    if sample.pictures is None or not sample.shown:
        return []
    shown = contents(folder / sample.pictures, sample.shown)
    return [(f"pictures/{name}-{place}.jpg", picture) for place, picture in enumerate(shown, 1)]
