"""Stage `embed`: features of every film's pictures and exemplars of its cast, on GPUs. A restart encodes no film twice.

The model is loaded only where there is a film to encode.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from fabula_api.recipes.audio_description.build import OWN, AudioDescriptionBuild
from fabula_workloads.models.model_folder import model_folder, model_label
from fabula_workloads.models.threads import limit_threads
from fabula_workloads.pictures.opening import UnfitPicture, open_picture
from fabula_workloads.recipes.audio_description.build_of import block_of
from fabula_workloads.recipes.audio_description.films.looks import exemplar, most_alike
from fabula_workloads.recipes.audio_description.films.records import (
    FRAMES,
    Embedded,
    Files,
    Looks,
    Pictures,
    read_files,
)
from fabula_workloads.recipes.audio_description.films.stored import fetched, outcome_of, pictures_of
from fabula_workloads.recipes.audio_description.films_of import item_of, read_rows
from fabula_workloads.recipes.audio_description.ingest import KIND
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.ledger import own_items
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
    block = block_of(context)
    photos = {source.name: source.photos for source in block.sources if source.format == OWN}
    people: dict[str, dict[str, None]] = {}
    sources: dict[str, str] = {}
    for row in read_rows(store):
        if row.source in photos:
            item = item_of(row)
            sources[item] = row.source
            seen = people.setdefault(item, {})
            seen.update(dict.fromkeys(one.id for one in row.characters if one.exemplar is not None))
    files, ledger = read_files(store), Outcomes(context.store, Embedded)
    cut = context.open_input("frames")
    decoded = Outcomes(cut, Pictures)
    own = own_items(sorted(people), context.shard, context.config.shards)
    finished = ledger.ids()
    sight: Sight | None = None
    counts: Counter[str] = Counter()
    for done, item in enumerate(own, 1):
        context.check_stop()
        outcome = ledger.get(item) if item in finished else None
        if outcome is None:
            pictures = outcome_of(decoded, item)
            if pictures.path is None:
                outcome = Embedded(outcome="rejected", reason=pictures.reason)
            else:
                sight = sight or open_sight(context, block)
                folder = photos[sources[item]]
                found = _photos(files[sources[item]], people[item], context.resolve(folder) if folder else None)
                outcome = _embedded(context, item, cut, pictures, found, sight, block)
            ledger.put(item, outcome)
        counts["film/ok" if outcome.reason is None else f"film/skipped/{outcome.reason}"] += 1
        counts["picture/ok"] += outcome.count
        for one in outcome.looks.values():
            counts["face/ok" if one.reason is None else f"face/skipped/{one.reason}"] += 1
        context.reporter.update(done=done, total=len(own), counts=dict(counts))
    return StageResult(counts={name: float(count) for name, count in sorted(counts.items())})


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
    found: dict[str, Image | str] = {}
    for person in people:
        path = files.photos.get(person)
        if folder is None or path is None:
            found[person] = "NoPhoto"
            continue
        try:
            found[person] = open_picture(open_store(folder).read(path))
        except NotFound:
            found[person] = "NoPhoto"
        except UnfitPicture:
            found[person] = "UnfitPhoto"
    return found


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
        tar = fetched(cut, pictures, scratch)
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
        context.store.upload(file, path)
        with file.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
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
