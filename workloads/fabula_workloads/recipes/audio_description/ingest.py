"""Stage `ingest`: annotations, people and exemplars, as rows of one kind. Its folder is named by what is in them.

Banks of features and films are only identified here, for they may be larger than a disk: later stages read what rows
need.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from fabula_api.recipes.audio_description.build import OWN, AudioDescriptionBuildSpec, NarrationSource
from fabula_api.status import Lineage
from fabula_workloads.recipe_parts.source_rows import (
    Unreadable,
    check_unreadable,
    commit_ingested,
    digest_of_origins,
    origin,
    read_file,
    row_files,
)
from fabula_workloads.recipes.audio_description.annotations.own_films import (
    FILMS,
    by_stem,
    own_rows,
    read_casts,
    read_spoken,
)
from fabula_workloads.recipes.audio_description.annotations.reading import Tables, read_rows
from fabula_workloads.recipes.audio_description.annotations.rows import Row
from fabula_workloads.recipes.audio_description.annotations.subtitles import SUBTITLES
from fabula_workloads.recipes.audio_description.annotations.tables import read_cast, read_titles
from fabula_workloads.recipes.audio_description.features.exemplars import read_exemplars
from fabula_workloads.runtime.by_content import made_before
from fabula_workloads.runtime.content import content_digest, file_digest
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.open_store import open_store

KIND, EXEMPLARS, FILES = "narration", "exemplars.safetensors", "films.json"
PHOTOS = frozenset({".jpg", ".jpeg", ".png", ".webp"})


def run(context: StageContext) -> StageResult:
    """The `ingest` stage."""
    block = context.spec_of(AudioDescriptionBuildSpec).audio_description
    lineage = [entry for source in block.sources for entry in _lineage(context, source)]
    store, before = made_before(context, KIND, digest_of_origins(lineage))
    if before is not None:
        return before
    rows: list[Row] = []
    bad: list[Unreadable] = []
    exemplars: dict[str, Any] = {}
    films: dict[str, dict[str, dict[str, str]]] = {}
    for source in block.sources:
        context.check_stop()
        if source.format == OWN:
            readable, unreadable, films[source.name] = _own_films(context, source)
            rows, bad = rows + readable, bad + unreadable
            continue
        readable, unreadable, faces = _read(context, source)
        rows += readable
        bad += unreadable
        exemplars |= faces
    check_unreadable(len(rows), bad, block.max_bad_fraction, "audioDescription.maxBadFraction")
    from safetensors.numpy import save

    files = [
        *row_files(rows, bad),
        (EXEMPLARS, save(exemplars)),
        (FILES, (json.dumps(films, sort_keys=True) + "\n").encode()),
        # Banks and films are not among the parts: their digests are, so that later stages' keys cover what they read.
        ("sources.json", (json.dumps({file.name: file.digest for file in lineage}, sort_keys=True) + "\n").encode()),
    ]
    return commit_ingested(context, store, KIND, files, _counts(rows, bad), lineage)


def _lineage(context: StageContext, source: NarrationSource) -> Iterator[Lineage]:
    bank = source.bank.uri if source.bank is not None else None
    files = {"bank": bank, "exemplars": source.exemplars, "cast": source.cast, "titles": source.titles}
    folders = {"films": source.films, "photos": source.photos}
    (folders if _is_folder(context, source) else files)["annotations"] = source.annotations
    for named, digest_at in ((files, file_digest), (folders, content_digest)):
        for name, uri in sorted(named.items()):
            if uri is not None:
                field, what = f"sources[{source.name}].{name}", "file" if named is files else "folder with files"
                yield origin(context, f"{source.name}/{name}", uri, f"audioDescription.{field}", what, digest_at)


def _is_folder(context: StageContext, source: NarrationSource) -> bool:
    """Whether annotations are a folder of subtitles."""
    return source.format == OWN and PurePosixPath(source.annotations).suffix.lower() not in {".csv", *SUBTITLES}


def _own_films(
    context: StageContext, source: NarrationSource
) -> tuple[list[Row], list[Unreadable], dict[str, dict[str, str]]]:
    """Rows of one's own films, and where files of films and photos of people lie."""
    films = _files(context, source.films, FILMS)
    photos = _files(context, source.photos, PHOTOS)
    if _is_folder(context, source):
        folder = open_store(context.resolve(source.annotations))
        spoken = {entry.path: folder.read(entry.path) for entry in folder.list() if _is_subtitle(entry.path)}
    else:
        spoken = {PurePosixPath(source.annotations).name: read_file(context, source.annotations)}
    casts = read_casts(read_file(context, source.cast), source.cast) if source.cast else {}
    titles = read_titles(read_file(context, source.titles), source.titles) if source.titles else {}
    read = read_spoken(spoken, source.name)
    entries = list(own_rows(read, source, films, casts, frozenset(photos), titles))
    rows = [
        row.replace(characters=tuple(face.replace(exemplar=_own_key(source, face.exemplar)) for face in row.characters))
        for row in entries
        if isinstance(row, Row)
    ]
    bad = [entry for entry in entries if isinstance(entry, Unreadable)]
    return rows, bad, {"films": films, "photos": photos}


def _own_key(source: NarrationSource, exemplar: str | None) -> str | None:
    return None if exemplar is None else f"{source.name}/{exemplar}"


def _files(context: StageContext, uri: str | None, suffixes: frozenset[str]) -> dict[str, str]:
    return {} if uri is None else by_stem((entry.path for entry in open_store(context.resolve(uri)).list()), suffixes)


def _is_subtitle(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in SUBTITLES


def _read(context: StageContext, source: NarrationSource) -> tuple[list[Row], list[Unreadable], dict[str, Any]]:
    cast = read_cast(read_file(context, source.cast), source.cast) if source.cast else {}
    titles = read_titles(read_file(context, source.titles), source.titles) if source.titles else {}
    entries = list(read_rows(read_file(context, source.annotations), source, Tables(cast, titles)))
    rows = [row for row in entries if isinstance(row, Row)]
    faces = read_exemplars(read_file(context, source.exemplars), source.exemplars) if source.exemplars else {}
    # Two sources may know one person by different features.
    needed = {face.exemplar for row in rows for face in row.characters} & faces.keys()
    kept = {f"{source.name}/{key}": faces[key] for key in needed if key is not None}
    return [_with_faces(row, kept) for row in rows], [entry for entry in entries if isinstance(entry, Unreadable)], kept


def _with_faces(row: Row, known: dict[str, Any]) -> Row:
    """The row with keys of those exemplars that there are."""
    characters = tuple(
        face.replace(exemplar=key if (key := f"{row.source}/{face.exemplar}") in known else None)
        for face in row.characters
    )
    return row.replace(characters=characters)


def _counts(rows: list[Row], bad: list[Unreadable]) -> dict[str, int]:
    people = Counter(face.exemplar is not None for row in rows for face in row.characters)
    counts = {"row/ok": len(rows), "row/skipped/Unreadable": len(bad)}
    counts |= {"character/ok": people[True], "character/skipped/NoExemplar": people[False]}
    return {name: count for name, count in counts.items() if count or name == "row/ok"}
