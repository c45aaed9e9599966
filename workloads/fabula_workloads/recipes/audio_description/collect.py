"""Stage `collect`: the features of every clip, film by film, out of banks or one's own films. A restart reads no film
twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from fabula_api.recipes.audio_description.build import AudioDescriptionBuild, AudioDescriptionBuildSpec, NarrationSource
from fabula_workloads.recipe_parts.source_rows import stored_rows
from fabula_workloads.recipes.audio_description.annotations.rows import Clip, Row
from fabula_workloads.recipes.audio_description.features.bank import open_bank
from fabula_workloads.recipes.audio_description.features.slices import Reason
from fabula_workloads.recipes.audio_description.films.records import Collected, Embedded, Pictures, ShownPictures
from fabula_workloads.recipes.audio_description.films.stored import FilmFeatures, keep_shown, outcome_of
from fabula_workloads.recipes.audio_description.films_of import by_film
from fabula_workloads.recipes.audio_description.ingest import KIND
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.items import each_once
from fabula_workloads.runtime.kept_files import fetched_file, keep_file
from fabula_workloads.runtime.outcomes import Outcomes


class Features(Protocol):
    """A bank, or one film's features."""

    def read(self, clip: Clip) -> Any | Reason:
        """A clip's features, or why it has none."""


def run(context: StageContext) -> StageResult:
    """Read the clips of this shard's films that have no outcome yet."""
    store, _ = context.read_artifact("ingest", KIND)
    rows, block = stored_rows(store, Row), context.spec_of(AudioDescriptionBuildSpec).audio_description
    films, sources = by_film(rows), {source.name: source for source in block.sources}
    told = {row.clip.key for row in rows}

    def collect(item: str) -> Collected:
        source, clips = films[item]
        return _outcome(context, item, sources[source], clips, told, block)

    return each_once(context, Outcomes(context.store, Collected), films, collect, _counts)


def _counts(film: Collected) -> Iterator[tuple[str, int]]:
    yield "film/ok", 1
    yield "clip/ok", film.clips
    yield from ((f"clip/skipped/{reason}", 1) for reason in film.rejected.values())


def _outcome(
    context: StageContext,
    item: str,
    source: NarrationSource,
    clips: list[Clip],
    told: set[str],
    block: AudioDescriptionBuild,
) -> Collected:
    """A film's outcome for the ledger."""
    with context.scratch() as scratch:
        if source.bank is not None:
            with open_bank(context.resolve(source.bank.uri), source.bank) as bank:
                return _collected(context, item, clips, bank, scratch / "features.safetensors")
        store = context.open_input("embed")
        film = outcome_of(Outcomes(store, Embedded), item)
        if film.path is None:
            reason = film.reason or "NoFilm"
            return Collected(outcome="ok", rejected=dict.fromkeys((clip.key for clip in clips), reason))
        features = FilmFeatures(fetched_file(store, film.path, film.sha256, scratch), block.films.fps)
        outcome = _collected(context, item, clips, features, scratch / "features.safetensors")
        if not block.films.shown or outcome.path is None:
            return outcome
        cut = context.open_input("frames")
        pictures = outcome_of(Outcomes(cut, Pictures), item)
        assert pictures.path is not None  # its features were made of them
        tar, kept = fetched_file(cut, pictures.path, pictures.sha256, scratch), scratch / "shown.tar"
        told_clips = [clip for clip in clips if clip.key in told]
        shown = keep_shown(tar, told_clips, block.films.shown, block.films.fps, pictures.count, kept)
        path = f"pictures/{item}.tar"
        sha256 = keep_file(context.store, path, kept)
        return outcome.replace(pictures=ShownPictures(path=path, sha256=sha256, shown=shown))


def _collected(context: StageContext, item: str, clips: list[Clip], bank: Features, file: Path) -> Collected:
    """Store a film's features; the outcome for the ledger."""
    from safetensors.numpy import save_file

    features: dict[str, Any] = {}
    rejected: dict[str, str] = {}
    for clip in clips:
        read = bank.read(clip)
        if isinstance(read, str):
            rejected[clip.key] = read
        else:
            features[clip.key] = read
    shapes = {tuple(array.shape[1:]) for array in features.values()}
    if len(shapes) > 1:
        raise InputInvalid(f"{item}: its clips have features of different shapes: {sorted(shapes)}; mend the bank")
    if not features:
        return Collected(outcome="ok", rejected=rejected)
    save_file(features, file)
    path = f"features/{item}.safetensors"
    sha256 = keep_file(context.store, path, file)
    return Collected(outcome="ok", clips=len(features), rejected=rejected, path=path, sha256=sha256, shape=shapes.pop())
