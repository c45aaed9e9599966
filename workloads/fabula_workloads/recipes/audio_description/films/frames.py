"""Stage `frames`: every film once, on CPUs, as pictures at the asked rate. A restart decodes none twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fabula_api.recipes.audio_description.build import OWN, AudioDescriptionBuildSpec, Films
from fabula_workloads.pictures.packed import add, jpeg, packing
from fabula_workloads.recipe_parts.source_rows import stored_rows
from fabula_workloads.recipes.audio_description.annotations.rows import Row
from fabula_workloads.recipes.audio_description.films.records import Pictures, picture_name, read_files
from fabula_workloads.recipes.audio_description.films_of import by_film, item_of
from fabula_workloads.recipes.audio_description.ingest import KIND
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import NotFound
from fabula_workloads.runtime.items import each_once
from fabula_workloads.runtime.kept_files import keep_file
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.video.frames import frames_at, moments
from fabula_workloads.video.opening import UnfitVideo, facts

if TYPE_CHECKING:
    from PIL.Image import Image

_QUALITY = 95
_LONGEST_SECONDS = 12 * 3600.0
"""Of a film whose header does not say how long it is."""


def run(context: StageContext) -> StageResult:
    """Decode this shard's films that have no outcome yet."""
    store, _ = context.read_artifact("ingest", KIND)
    block = context.spec_of(AudioDescriptionBuildSpec).audio_description
    places = {source.name: source.films for source in block.sources if source.format == OWN}
    rows = [row for row in stored_rows(store, Row) if row.source in places]
    films = {item_of(row): (row.source, row.film) for row in rows}
    files = read_files(store)

    def decode(item: str) -> Pictures:
        source, film = films[item]
        path, folder = files[source].films.get(film), places[source]
        if path is None or folder is None:
            return Pictures(outcome="rejected", reason="NoFilm")
        with context.scratch() as scratch:
            return _decoded(context, item, context.resolve(folder), path, block.films, scratch)

    return each_once(context, Outcomes(context.store, Pictures), by_film(rows), decode, _counts)


def _counts(film: Pictures) -> Iterator[tuple[str, int]]:
    yield "film/ok" if film.reason is None else f"film/skipped/{film.reason}", 1
    yield "file/cut", int(film.cut)
    yield "picture/ok", film.count


def _decoded(context: StageContext, item: str, folder: str, path: str, asked: Films, scratch: Path) -> Pictures:
    film, tar = scratch / f"film{Path(path).suffix}", scratch / "frames.tar"
    try:
        open_store(folder).download(path, film)
        seconds = facts(film).seconds or _LONGEST_SECONDS
    except NotFound:
        return Pictures(outcome="rejected", reason="NoFilm")
    except UnfitVideo as unfit:
        return Pictures(outcome="rejected", reason=unfit.reason)
    count, cut = 0, False
    with packing(tar) as packed:
        try:
            for frame in frames_at(film, moments(0.0, seconds, asked.fps)):
                context.check_stop()
                add(packed, picture_name(count), jpeg(_small(frame.picture, asked.side), _QUALITY))
                count += 1
        except UnfitVideo as unfit:
            if count == 0:
                return Pictures(outcome="rejected", reason=unfit.reason)
            cut = True
    stored = f"frames/{item}.tar"
    sha256 = keep_file(context.store, stored, tar)
    return Pictures(outcome="ok", count=count, cut=cut, path=stored, sha256=sha256)


def _small(picture: Image, side: int) -> Image:
    """Scaled so that the shorter side has so many pixels: what an encoder crops its square from."""
    from PIL.Image import Resampling

    width, height = picture.size
    shorter = min(width, height)
    size = (max(1, round(width * side / shorter)), max(1, round(height * side / shorter)))
    return picture if picture.size == size else picture.resize(size, Resampling.BICUBIC)
