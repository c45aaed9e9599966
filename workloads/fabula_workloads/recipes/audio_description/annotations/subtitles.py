"""Descriptions of one's own films as they lie on disk: tables, and subtitle files as FFmpeg reads them."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

from fabula_workloads.recipe_parts.source_rows import Unreadable
from fabula_workloads.runtime.failures import InputInvalid

SUBTITLES = {".vtt": "webvtt", ".srt": "srt"}
"""What FFmpeg calls the formats."""
COLUMNS = {
    "film": ("film", "movie", "movie_id", "video"), "start": ("start", "begin", "from"), "end": ("end", "to"),
    "text": ("text", "ad", "description", "sentence"),
}  # fmt: skip
"""Columns of a table, each with the names that it may have."""
_NAMED = ("characters", "named", "char_in_ad")
_MARKS = re.compile(r"<[^>]*>|\{\\[^}]*\}")
"""Styles of subtitles, which are not spoken."""
_CLOCK = re.compile(r"(-?)(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:[.,]\d+)?)")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A description of a film, in seconds."""

    place: str
    film: str
    start: float
    end: float
    text: str
    named: tuple[str, ...] | None = None
    """Whom it names, where a table says so."""


def seconds_of(text: str) -> float:
    """Seconds, or hours, minutes and seconds with colons between them. Raises ValueError."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text.strip()!r} is no time: write seconds, or 00:01:02.500")
    sign, *parts = match.groups()
    hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in parts)
    return (-1 if sign else 1) * (3600 * hours + 60 * minutes + seconds)


def read_table(data: bytes, where: str) -> Iterator[Spoken | Unreadable]:
    """The rows of a CSV. Raises InputInvalid for what is none, or lacks a column."""
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        header = {name.strip().lower(): name for name in reader.fieldnames or ()}
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputInvalid(f"{where} is no CSV in UTF-8: {error}") from None
    places = {
        column: next((header[name] for name in names if name in header), None) for column, names in COLUMNS.items()
    }
    if missing := [column for column, place in places.items() if place is None]:
        raise InputInvalid(f"{where} has no column {', '.join(missing)}; it has {', '.join(header) or 'none'}")
    named = next((header[name] for name in _NAMED if name in header), None)
    for number, row in enumerate(rows, 2):
        place = f"line {number}"
        film, start, end, text = ((row[name] or "").strip() for name in places.values() if name is not None)
        told = None if named is None else tuple(part.strip() for part in (row[named] or "").split(";") if part.strip())
        try:
            yield _spoken(place, film, seconds_of(start), seconds_of(end), text, told)
        except ValueError as error:
            yield Unreadable(place, str(error))


def read_subtitles(data: bytes, suffix: str, film: str, where: str) -> Iterator[Spoken | Unreadable]:
    """The cues of a WebVTT or SRT file. Raises InputInvalid for what is none."""
    import av
    from av.error import FFmpegError

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputInvalid(f"{where} is not in UTF-8: {error}") from None
    # FFmpeg tells a file by its head, and takes neither a mark of byte order nor the line ends of old systems.
    content = io.BytesIO("\n".join(text.splitlines()).encode())
    try:
        with av.open(content, "r", format=SUBTITLES[suffix]) as container:
            stream = container.streams.subtitles[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            if not packets:
                yield Unreadable(film, "it has no cues")
            for number, packet in enumerate(packets, 1):
                if packet.pts is None or packet.duration is None or packet.time_base is None:
                    continue
                start, lasts = float(packet.pts * packet.time_base), float(packet.duration * packet.time_base)
                said = unescape(_MARKS.sub("", bytes(packet).decode("utf-8", "replace")))
                try:
                    yield _spoken(f"cue {number}", film, start, start + lasts, said, None)
                except ValueError as error:
                    yield Unreadable(f"{film}, cue {number}", str(error))
    except (FFmpegError, IndexError) as error:
        raise InputInvalid(f"{where} is no {suffix.removeprefix('.')} file that can be read: {error}") from None


def _spoken(place: str, film: str, start: float, end: float, text: str, named: tuple[str, ...] | None) -> Spoken:
    words = " ".join(text.split())
    if not words:
        raise ValueError("it has no text")
    if not film:
        raise ValueError("it names no film")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError("it has no time")
    return Spoken(place, film, start, end, words, named)
