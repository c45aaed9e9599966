"""From an annotation file to rows, in the file's order. What cannot be read is told by its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fabula_api.recipes.audio_description.build import NarrationSource
from fabula_workloads.recipe_parts.source_rows import Unreadable
from fabula_workloads.recipes.audio_description.annotations.choosing import NotInLayout, chosen, named
from fabula_workloads.recipes.audio_description.annotations.layouts import Annotation, CharacterRecord, Number
from fabula_workloads.recipes.audio_description.annotations.rows import Before, Character, Clip, Row
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.termination import validation_lines

_EPISODE = re.compile(r"^(.+?_s\d+e\d+)(?:_|$)", re.IGNORECASE)
"""A series' clip by its name: what is before the clip's own number is the film that it belongs to."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What is known of people and films beside the annotations, by id."""

    cast: Mapping[str, CharacterRecord]
    titles: Mapping[str, str]


def read_rows(data: bytes, source: NarrationSource, tables: Tables) -> Iterator[Row | Unreadable]:
    """Every row of an annotation file. Raises InputInvalid for a file that is not of the source's layout."""
    for number, (place, film, record) in enumerate(_records(data, source)):
        if source.limit is not None and number >= source.limit:
            return
        try:
            row = Annotation.model_validate(record)
        except ValidationError as error:
            yield Unreadable(place, "; ".join(validation_lines(error)))
            continue
        try:
            yield _row(row, number, place, film, source, tables)
        except (NotInLayout, ValueError) as error:
            yield Unreadable(place, str(error))


def _records(data: bytes, source: NarrationSource) -> Iterator[tuple[str, str | None, Any]]:
    """(place, film where the layout says it around the row, record) of each row."""
    where = f"{source.name}: {source.annotations}"
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputInvalid(f"{where} is not JSON: {error}") from None
    if source.format == "mad-train":
        if not isinstance(content, list):
            raise InputInvalid(f"{where}: {source.format} is a list of rows, and this is a {_kind(content)}")
        groups: list[tuple[str | None, Any]] = [(None, content)]
    elif not isinstance(content, dict):
        raise InputInvalid(f"{where}: {source.format} is an object of lists of rows, and this is a {_kind(content)}")
    elif source.format == "mad-eval":
        groups = list(content.items())
    else:
        if source.format not in content:
            raise InputInvalid(
                f"{where}: {source.format} has its rows under {source.format!r}, and this file has "
                f"{', '.join(map(repr, list(content)[:5])) or 'nothing'}"
            )
        groups = [(None, content[source.format])]
    for film, rows in groups:
        if not isinstance(rows, list):
            raise InputInvalid(f"{where}: under {film or source.format!r} is a {_kind(rows)}, not a list of rows")
        for number, record in enumerate(rows):
            yield f"{f'film {film}, ' if film else ''}row {number}", film, record


def _kind(value: Any) -> str:
    return "object" if isinstance(value, dict) else type(value).__name__


def _row(row: Annotation, number: int, place: str, film: str | None, source: NarrationSource, tables: Tables) -> Row:
    film = film or row.film
    clip_name = row.clip
    if source.layout == "clips":
        if clip_name is None:
            raise ValueError("it has no key_name, by which a bank of clips has its features")
        match = _EPISODE.match(clip_name)
        film = film or tables.titles.get(clip_name) or (match[1] if match else clip_name)
        place = f"{place}, clip {clip_name}"
    elif film is None:
        raise ValueError("it has no movie_id, by which a bank of frames has its features")
    records = chosen(row, source.format, source.chosen, source.threshold)
    before = row.context
    return Row(
        id=f"{source.name}-{number:06d}",
        source=source.name,
        place=place,
        film=film,
        title=tables.titles.get(clip_name or "") or tables.titles.get(film),
        text=_one_line(row.ad),
        clip=_clip(row.start, row.end, film, clip_name, source),
        before=None if before is None else Before(
            text=_one_line(before.ad), clip=_clip(before.start, before.end, film, clip_name, source)
        ),
        characters=tuple(_character(record, film, source, tables) for record in _once(records)),
        named=named(row, source.format),
    )  # fmt: skip


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _clip(start: Number, end: Number, film: str, clip_name: str | None, source: NarrationSource) -> Clip:
    # A bank of clips has the numbers in its entries' names as the annotations have them.
    entry = film if source.layout == "frames" else f"{clip_name}_{start}_{end}"
    return Clip(start=float(start), end=float(end), entry=entry)


def _once(records: Any) -> list[CharacterRecord]:
    return list({record.id: record for record in records}.values())


def _character(record: CharacterRecord, film: str, source: NarrationSource, tables: Tables) -> Character:
    known = tables.cast.get(record.id)
    name, role, short = (
        getattr(record, field) or (getattr(known, field) if known else None) for field in ("name", "role", "short_name")
    )
    key = f"{film}_{record.id}" if source.layout == "frames" else f"{record.id}.jpg"
    return Character(id=record.id, name=name, role=role, short_name=short, exemplar=key)
