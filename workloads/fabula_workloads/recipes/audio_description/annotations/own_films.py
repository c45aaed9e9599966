"""From descriptions of one's own films to rows: who is in the film's cast, what was said before, where its file is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import PurePosixPath

from pydantic import ValidationError

from fabula_api.recipes.audio_description.build import NarrationSource
from fabula_workloads.recipe_parts.source_rows import Unreadable
from fabula_workloads.recipes.audio_description.annotations.layouts import CharacterRecord
from fabula_workloads.recipes.audio_description.annotations.names import is_named, spellings
from fabula_workloads.recipes.audio_description.annotations.rows import Before, Character, Clip, Row
from fabula_workloads.recipes.audio_description.annotations.subtitles import (
    SUBTITLES,
    Spoken,
    read_subtitles,
    read_table,
)
from fabula_workloads.recipes.audio_description.annotations.tables import object_of
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.termination import validation_lines

CAST = 10
"""People of a film that are looked for, as published."""
FILMS = frozenset({".mp4", ".m4v", ".mkv", ".mov", ".avi", ".webm", ".ts", ".mpg", ".mpeg", ".wmv"})
Casts = Mapping[str, Sequence[CharacterRecord]]


def by_stem(paths: Iterable[str], suffixes: Iterable[str]) -> dict[str, str]:
    """Paths by what they are called without suffix. Raises InputInvalid where two are called alike."""
    by_name: dict[str, str] = {}
    for path in sorted(paths):
        pure = PurePosixPath(path)
        if pure.suffix.lower() in suffixes:
            stem = str(pure.with_suffix(""))
            if stem in by_name:
                raise InputInvalid(f"{by_name[stem]} and {path} are two files of one name; rename one of them")
            by_name[stem] = path
    return by_name


def read_casts(data: bytes, where: str) -> Casts:
    """`{film: [{id, name, role, char_in_ad}]}`. Raises InputInvalid naming film and entry."""
    casts: dict[str, list[CharacterRecord]] = {}
    for film, people in object_of(data, where).items():
        if not isinstance(people, list):
            raise InputInvalid(
                f"{where}: {film} has a {type(people).__name__}, not a list of people; of format video the table goes "
                "from a film to its cast"
            )
        casts[film] = []
        for place, record in enumerate(people):
            try:
                casts[film].append(CharacterRecord.model_validate(record))
            except ValidationError as error:
                raise InputInvalid(f"{where}: {film}, entry {place}: {'; '.join(validation_lines(error))}") from None
    return casts


def read_spoken(files: Mapping[str, bytes], where: str) -> Iterator[Spoken | Unreadable]:
    """What annotation files say, by their paths: one CSV, or subtitles, each called as its film."""
    for path, data in sorted(files.items()):
        pure = PurePosixPath(path)
        suffix = pure.suffix.lower()
        if suffix in SUBTITLES:
            yield from read_subtitles(data, suffix, str(pure.with_suffix("")), f"{where}: {path}")
        else:
            yield from read_table(data, f"{where}: {path}")


def own_rows(
    spoken: Iterable[Spoken | Unreadable],
    source: NarrationSource,
    films: Mapping[str, str],
    casts: Casts,
    photos: frozenset[str],
    titles: Mapping[str, str],
) -> Iterator[Row | Unreadable]:
    """Rows film by film, in the order of time. `films` are paths by name; `photos` the people of whom there is one."""
    told: dict[str, list[Spoken]] = defaultdict(list)
    for sentence in islice(spoken, source.limit):
        if isinstance(sentence, Unreadable):
            yield sentence
        else:
            told[film_name(sentence.film, films)].append(sentence)
    number = 0
    for film in sorted(told):
        before: Spoken | None = None
        cast = [_character(person, film, photos) for person in _cast_of(film, casts)]
        for sentence in sorted(told[film], key=lambda said: (said.start, said.end)):
            yield _row(sentence, before, number, film, source, cast, titles)
            before, number = sentence, number + 1


def film_name(said: str, films: Mapping[str, str]) -> str:
    """A film as everything calls it: its path without suffix, whether an annotation has the suffix or not."""
    stem = str(PurePosixPath(said).with_suffix("")) if PurePosixPath(said).suffix.lower() in FILMS else said
    return stem if stem in films or said not in films else said


def _cast_of(film: str, casts: Casts) -> Sequence[CharacterRecord]:
    people = casts.get(film) or casts.get(PurePosixPath(film).name) or ()
    return list({person.id: person for person in people}.values())[:CAST]


def _character(record: CharacterRecord, film: str, photos: frozenset[str]) -> Character:
    return Character(
        id=record.id,
        name=record.name,
        role=record.role,
        short_name=record.short_name,
        exemplar=f"{film}_{record.id}" if record.id in photos else None,
    )


def _row(
    sentence: Spoken,
    before: Spoken | None,
    number: int,
    film: str,
    source: NarrationSource,
    cast: Sequence[Character],
    titles: Mapping[str, str],
) -> Row:
    in_words = [face for face in cast if is_named(face, sentence.text, sentence.named or ())]
    names = sentence.named if sentence.named is not None else tuple(_called(face, sentence.text) for face in in_words)
    return Row(
        id=f"{source.name}-{number:06d}",
        source=source.name,
        place=f"film {film}, {sentence.place}",
        film=film,
        title=titles.get(film),
        text=sentence.text,
        clip=Clip(start=sentence.start, end=sentence.end, entry=film),
        before=None
        if before is None
        else Before(text=before.text, clip=Clip(start=before.start, end=before.end, entry=film)),
        characters=tuple(in_words if source.chosen == "named" else cast),
        named=names,
    )


def _called(face: Character, text: str) -> str:
    """The shortest name of a character that stands in the text: what this description calls it."""
    return min((name for name in spellings(face) if name in text), key=len, default=face.role or face.id)
