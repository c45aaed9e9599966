"""Stage `collect`: the features of every clip, film by film, out of banks or one's own films. A restart reads no film
twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from fabula_api.recipes.audio_description.build import AudioDescriptionBuild, NarrationSource
from fabula_workloads.recipes.audio_description.annotations.rows import Clip
from fabula_workloads.recipes.audio_description.build_of import block_of
from fabula_workloads.recipes.audio_description.features.bank import open_bank
from fabula_workloads.recipes.audio_description.features.slices import Reason
from fabula_workloads.recipes.audio_description.films.records import Collected, Embedded, Pictures, ShownPictures
from fabula_workloads.recipes.audio_description.films.stored import FilmFeatures, fetched, keep_shown, outcome_of
from fabula_workloads.recipes.audio_description.films_of import by_film, read_rows
from fabula_workloads.recipes.audio_description.ingest import KIND
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.ledger import own_items
from fabula_workloads.runtime.outcomes import Outcomes


class Features(Protocol):
    """A bank, or one film's features."""

    def read(self, clip: Clip) -> Any | Reason:
        """A clip's features, or why it has none."""


def run(context: StageContext) -> StageResult:
    """Read the clips of this shard's films that have no outcome yet."""
    store, _ = context.read_artifact("ingest", KIND)
    rows, block = read_rows(store), block_of(context)
    films, sources = by_film(rows), {source.name: source for source in block.sources}
    told = {row.clip.key for row in rows}
    ledger = Outcomes(context.store, Collected)
    own = own_items(sorted(films), context.shard, context.config.shards)
    finished = ledger.ids()
    counts: Counter[str] = Counter()
    for done, item in enumerate(own, 1):
        context.check_stop()
        source, clips = films[item]
        outcome = ledger.get(item) if item in finished else None
        if outcome is None:
            outcome = _outcome(context, item, sources[source], clips, told, block)
            ledger.put(item, outcome)
        counts["film/ok"] += 1
        counts["clip/ok"] += outcome.clips
        for reason in outcome.rejected.values():
            counts[f"clip/skipped/{reason}"] += 1
        context.reporter.update(done=done, total=len(own), counts=dict(counts))
    return StageResult(counts={name: float(count) for name, count in sorted(counts.items())})


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
        features = FilmFeatures(fetched(store, film, scratch), block.films.fps)
        outcome = _collected(context, item, clips, features, scratch / "features.safetensors")
        if not block.films.shown or outcome.path is None:
            return outcome
        cut = context.open_input("frames")
        pictures = outcome_of(Outcomes(cut, Pictures), item)
        tar, kept = fetched(cut, pictures, scratch), scratch / "shown.tar"
        own = [clip for clip in clips if clip.key in told]
        shown = keep_shown(tar, own, block.films.shown, block.films.fps, pictures.count, kept)
        path = f"pictures/{item}.tar"
        context.store.upload(kept, path)
        return outcome.replace(pictures=ShownPictures(path=path, sha256=_sha256(kept), shown=shown))


def _collected(context: StageContext, item: str, clips: list[Clip], bank: Features, file: Path) -> Collected:
    """Store a film's features; the outcome for the ledger."""
    from safetensors.numpy import save_file

    features: dict[str, Any] = {}
    rejected: dict[str, str] = {}
    for clip in clips:
        found = bank.read(clip)
        if isinstance(found, str):
            rejected[clip.key] = found
        else:
            features[clip.key] = found
    shapes = {tuple(array.shape[1:]) for array in features.values()}
    if len(shapes) > 1:
        raise InputInvalid(f"{item}: its clips have features of different shapes: {sorted(shapes)}; mend the bank")
    if not features:
        return Collected(outcome="ok", rejected=rejected)
    save_file(features, file)
    path = f"features/{item}.safetensors"
    context.store.upload(file, path)
    return Collected(
        outcome="ok", clips=len(features), rejected=rejected, path=path, sha256=_sha256(file), shape=shapes.pop()
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
