"""SPoRC's legacy records, as found in the wild: lists that are strings, strings that are JSON, sentinels for nothing.

One line is one record: a speaker turn (`turnText`) or an episode with its whole transcript (`transcript`).
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

Layout = Literal["sporc-turns", "sporc-episodes"]
UNKNOWN_SPEAKER = "UNKNOWN"
_COUNTS = ("order", "turnCount", "turn_count")
_STARTS = ("startTime", "start_time")
_TIME = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)")
_EPISODE_ID = re.compile(r"[0-9a-f]{16}")
_SENTINEL = re.compile(r"(NO_[A-Z_]+|[A-Z_]*UNAVAILABLE|NONE|NULL|NAN|UNKNOWN|N/A)?", re.IGNORECASE)


class BadRecord(Exception):
    """A line that is no record. `reason` is one CamelCase word; neither it nor `detail` quotes the line."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """A turn as the corpus has it. `speaker` is the diarisation label that speaks first."""

    episode: str
    podcast: str
    speaker: str
    text: str
    count: float | None = None
    """Its number in the episode, where the corpus says so."""
    start: float | None = None
    """When it begins, in seconds, where the corpus says so; else the order of the file is that of the episode."""


@dataclass(frozen=True, slots=True)
class WholeEpisode:
    """An episode whose transcript knows no speakers."""

    episode: str
    podcast: str
    text: str


def parse_object(line: bytes) -> dict[str, Any]:
    """The JSON object on a line. Raises BadRecord."""
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRecord("NotUtf8", f"byte {error.start} is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        column = getattr(error, "colno", None)
        raise BadRecord("NotJson", f"no JSON from column {column}" if column else "no JSON") from None
    if not isinstance(record, dict):
        raise BadRecord("NotAnObject", f"a JSON {type(record).__name__}, not an object")
    return record


def layout_of(record: dict[str, Any]) -> Layout | None:
    """Which layout a record is of; None when of neither."""
    if "turnText" in record:
        return "sporc-turns"
    return "sporc-episodes" if "transcript" in record else None


def parse_turn(record: dict[str, Any]) -> SpokenTurn:
    """A record of the turn layout. Raises BadRecord."""
    episode, url = _episode(record)
    count, start = (
        next((number for field in fields if (number := number_of(record.get(field))) is not None), None)
        for fields in (_COUNTS, _STARTS)
    )
    speaker = speaker_of(record.get("speaker"))
    return SpokenTurn(episode, podcast_id(record, url), speaker, _text(record, "turnText"), count, start)


def number_of(value: Any) -> float | None:
    """A finite number, also one that is written as text, or a time as `1:02:03.5`, in seconds; None for any other."""
    if isinstance(value, str) and (time := _TIME.fullmatch(value.strip())):
        hours, minutes, seconds = time.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def parse_episode(record: dict[str, Any]) -> WholeEpisode:
    """A record of the episode layout. Raises BadRecord."""
    episode, url = _episode(record)
    return WholeEpisode(episode, podcast_id(record, url), _text(record, "transcript"))


def episode_id(url: str) -> str:
    """SPoRC's own id of an episode: the first 16 hex digits of the MD5 of its audio URL."""
    return hashlib.md5(url.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:16]


def podcast_id(record: dict[str, Any], url: str) -> str:
    """Stable id of the show: SPoRC's own where the feed is known, else from its title, else from where its audio lies.

    Turn records of the published corpus name no show; there the audio URL without its last part stands for it, which
    may join two shows of one host but never puts one show's episodes on both sides of a split by date or number.
    """
    for field in ("podcast_id", "podcastId"):
        if isinstance(value := record.get(field), str) and not is_sentinel(value):
            return value if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value) else _short_hash(value)
    for field in ("rssUrl", "podTitle"):
        if isinstance(value := record.get(field), str) and not is_sentinel(value):
            return _short_hash(value.strip())
    parts = urlsplit(url) if "://" in url else None
    if parts is None or not parts.netloc:
        return _short_hash(url.rpartition("/")[0] or url)
    folders = [part for part in parts.path.split("/")[:-1] if part and not re.fullmatch(r"[\d-]+", part)]
    return _short_hash("/".join([parts.netloc, *folders[:3]]))


def speaker_of(value: Any) -> str:
    """The first diarisation label, from a list, a plain string, or a string holding a list; `UNKNOWN` without one."""
    if isinstance(value, str) and value.strip().startswith("["):
        value = _list_in(value.strip())
    if isinstance(value, list):
        value = next(
            (item for item in value if not (isinstance(item, str) and is_sentinel(item)) and item is not None), None
        )
    if isinstance(value, bool) or value is None or isinstance(value, (list, dict)):
        return UNKNOWN_SPEAKER
    text = str(value).strip()
    return UNKNOWN_SPEAKER if is_sentinel(text) else text


def is_sentinel(text: str) -> bool:
    """Whether a string stands for nothing: `NO_HOST_PREDICTED`, `SPEAKER_DATA_UNAVAILABLE`, the empty string."""
    return _SENTINEL.fullmatch(text.strip()) is not None


def _list_in(text: str) -> Any:
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return text


def _episode(record: dict[str, Any]) -> tuple[str, str]:
    """(id, audio URL) of a record's episode; Parquet rows have the corpus' own id and may have no URL."""
    corpus_id = record.get("episode_id")
    if isinstance(corpus_id, str) and _EPISODE_ID.fullmatch(corpus_id):
        url = record.get("mp3url") or record.get("mp3_url")
        return corpus_id, url if isinstance(url, str) else corpus_id
    url = _url(record)
    return episode_id(url), url


def _url(record: dict[str, Any]) -> str:
    for field in ("mp3url", "mp3_url"):
        if isinstance(value := record.get(field), str) and not is_sentinel(value):
            return value.strip()
    raise BadRecord("NoUrl", "mp3url is missing, so its episode is unknown")


def _text(record: dict[str, Any], field: str) -> str:
    value = record.get(field)
    if value is None and field in record:
        return ""
    if not isinstance(value, str):
        raise BadRecord("NoText", f"{field} is {'missing' if field not in record else 'not a string'}")
    return value


def _short_hash(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:12]
