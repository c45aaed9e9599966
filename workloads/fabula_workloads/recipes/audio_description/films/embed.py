"""Stage `embed`: features of every film's pictures and exemplars of its cast, on GPUs. A restart encodes no film twice.

The model is loaded only where there is a film to encode.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from fabula_api.recipes.audio_description.build import OWN, AudioDescriptionBuild, AudioDescriptionBuildSpec
from fabula_workloads.models.model_folder import model_folder, model_label
from fabula_workloads.models.threads import limit_threads
from fabula_workloads.pictures.opening import UnfitPicture, open_picture
from fabula_workloads.recipe_parts.source_rows import stored_rows
from fabula_workloads.recipes.audio_description.annotations.rows import Row
from fabula_workloads.recipes.audio_description.films.looks import exemplar, most_alike
from fabula_workloads.recipes.audio_description.films.records import (
    FRAMES,
    Embedded,
    Files,
    Looks,
    Pictures,
    read_files,
)
from fabula_workloads.recipes.audio_description.films.stored import outcome_of, pictures_of
from fabula_workloads.recipes.audio_description.films_of import item_of
from fabula_workloads.recipes.audio_description.ingest import KIND
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.items import each_once
from fabula_workloads.runtime.kept_files import fetched_file, keep_file
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.runtime.store import Store

if TYPE_CHECKING:
    from PIL.Image import Image

_log = logging.getLogger(__name__)


class Sight(Protocol):
    """What makes features of pictures: a CLIP, as `models.clip` loads it."""

    def features(self, pictures: list[Image]) -> Any:
        """(pictures, width), as the model gives them."""


def run(context: StageContext) -> StageResult:
    """Encode this shard's films that have no outcome yet."""
    store, _ = context.read_artifact("ingest", KIND)
    block = context.spec_of(AudioDescriptionBuildSpec).audio_description
    photos = {source.name: source.photos for source in block.sources if source.format == OWN}
    people: dict[str, dict[str, None]] = {}
    sources: dict[str, str] = {}
    for row in stored_rows(store, Row):
        if row.source in photos:
            item = item_of(row)
            sources[item] = row.source
            seen = people.setdefault(item, {})
            seen.update(dict.fromkeys(character.id for character in row.characters if character.exemplar is not None))
    files, cut = read_files(store), context.open_input("frames")
    decoded = Outcomes(cut, Pictures)
    sight = cache(lambda: open_sight(context, block))  # only where a film is still to be encoded

    def embed(item: str) -> Embedded:
        pictures = outcome_of(decoded, item)
        if pictures.path is None:
            return Embedded(outcome="rejected", reason=pictures.reason)
        folder = photos[sources[item]]
        faces = _photos(files[sources[item]], people[item], context.resolve(folder) if folder else None)
        return _embedded(context, item, cut, pictures, faces, sight(), block)

    return each_once(context, Outcomes(context.store, Embedded), people, embed, _counts)


def _counts(film: Embedded) -> Iterator[tuple[str, int]]:
    yield "film/ok" if film.reason is None else f"film/skipped/{film.reason}", 1
    yield "picture/ok", film.count
    for person in film.looks.values():
        yield "face/ok" if person.reason is None else f"face/skipped/{person.reason}", 1


def open_sight(context: StageContext, block: AudioDescriptionBuild) -> Sight:
    """The encoder, loaded. Raises InputInvalid for a folder that holds no CLIP."""
    encoder = block.encoder
    folder = model_folder(context, encoder.model, "audioDescription.encoder.model", "encoder")
    from fabula_workloads.models.clip import Clip
    from fabula_workloads.models.stored_files import DamagedFile

    limit_threads(encoder.resources, context.config.shards)
    name = model_label(encoder.model)
    _log.info("loading %s on %s", name, encoder.device)
    try:
        return Clip(folder, device=encoder.device)
    except (OSError, ValueError, DamagedFile) as error:
        raise InputInvalid(f"audioDescription.encoder.model: {name} is no CLIP: {error}") from error


def _photos(files: Files, people: Iterable[str], folder: str | None) -> Mapping[str, Image | str]:
    """The photo of each person, or why there is none."""
    pictures: dict[str, Image | str] = {}
    for person in people:
        path = files.photos.get(person)
        if folder is None or path is None:
            pictures[person] = "NoPhoto"
            continue
        try:
            pictures[person] = open_picture(open_store(folder).read(path))
        except NotFound:
            pictures[person] = "NoPhoto"
        except UnfitPicture:
            pictures[person] = "UnfitPhoto"
    return pictures


def _embedded(
    context: StageContext,
    item: str,
    cut: Store,
    pictures: Pictures,
    photos: Mapping[str, Image | str],
    sight: Sight,
    block: AudioDescriptionBuild,
) -> Embedded:
    import numpy as np
    from safetensors.numpy import save, save_file

    with context.scratch() as scratch:
        assert pictures.path is not None
        tar = fetched_file(cut, pictures.path, pictures.sha256, scratch)
        batches = []
        for batch in _batches(pictures_of(tar), block.encoder.batch_size):
            context.check_stop()
            batches.append(sight.features(batch))
        features = np.concatenate(batches)
        looks: dict[str, Looks] = {}
        faces: dict[str, Any] = {}
        for person, photo in photos.items():
            if isinstance(photo, str):
                looks[person] = Looks(reason=photo)
                continue
            taken = most_alike(sight.features([photo]), features, block.films.fps)
            looks[person] = Looks(pictures=tuple(taken))
            faces[person] = exemplar(features, taken)
        file = scratch / "film.safetensors"
        save_file({FRAMES: features.astype(np.float16)}, file)
        path = f"films/{item}.safetensors"
        sha256 = keep_file(context.store, path, file)
    told = f"faces/{item}.safetensors" if faces else None
    if told is not None:
        context.store.write(told, save(faces))
    return Embedded(outcome="ok", count=len(features), path=path, sha256=sha256, looks=looks, faces=told)


def _batches(pictures: Iterable[Image], size: int) -> Iterator[list[Image]]:
    batch: list[Image] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
