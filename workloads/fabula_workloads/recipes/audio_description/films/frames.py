"""Stage `frames`: every film once, on CPUs, as pictures at the asked rate. A restart decodes none twice."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from fabula_api.recipes.audio_description.build import OWN, Films
from fabula_workloads.recipes.audio_description.build_of import block_of
from fabula_workloads.recipes.audio_description.films.records import Pictures, picture_name, read_files
from fabula_workloads.recipes.audio_description.films.stored import add_file
from fabula_workloads.recipes.audio_description.films_of import by_film, item_of, read_rows
from fabula_workloads.recipes.audio_description.ingest import KIND
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import NotFound
from fabula_workloads.runtime.ledger import own_items
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
    block = block_of(context)
    places = {source.name: source.films for source in block.sources if source.format == OWN}
    rows = [row for row in read_rows(store) if row.source in places]
    films = {item_of(row): (row.source, row.film) for row in rows}
    files, ledger = read_files(store), Outcomes(context.store, Pictures)
    own = own_items(sorted(by_film(rows)), context.shard, context.config.shards)
    finished = ledger.ids()
    counts: Counter[str] = Counter()
    for done, item in enumerate(own, 1):
        context.check_stop()
        outcome = ledger.get(item) if item in finished else None
        if outcome is None:
            source, film = films[item]
            path, folder = files[source].films.get(film), places[source]
            with context.scratch() as scratch:
                outcome = (
                    Pictures(outcome="rejected", reason="NoFilm")
                    if path is None or folder is None
                    else _decoded(context, item, context.resolve(folder), path, block.films, scratch)
                )
            ledger.put(item, outcome)
        counts["film/ok" if outcome.reason is None else f"film/skipped/{outcome.reason}"] += 1
        counts["file/cut"] += outcome.cut
        counts["picture/ok"] += outcome.count
        context.reporter.update(done=done, total=len(own), counts=dict(counts))
    return StageResult(counts={name: float(count) for name, count in sorted(counts.items())})


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
    with tarfile.open(tar, "w", format=tarfile.USTAR_FORMAT) as packed:
        try:
            for frame in frames_at(film, moments(0.0, seconds, asked.fps)):
                context.check_stop()
                add_file(packed, picture_name(count), _small(frame.picture, asked.side))
                count += 1
        except UnfitVideo as unfit:
            if count == 0:
                return Pictures(outcome="rejected", reason=unfit.reason)
            cut = True
    stored = f"frames/{item}.tar"
    context.store.upload(tar, stored)
    with tar.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return Pictures(outcome="ok", count=count, cut=cut, path=stored, sha256=sha256)


def _small(picture: Image, side: int) -> bytes:
    """As JPEG, scaled so that the shorter side has so many pixels: what an encoder crops its square from."""
    from PIL.Image import Resampling

    width, height = picture.size
    shorter = min(width, height)
    size = (max(1, round(width * side / shorter)), max(1, round(height * side / shorter)))
    if picture.size != size:
        picture = picture.resize(size, Resampling.BICUBIC)
    data = io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=_QUALITY)
    return data.getvalue()
