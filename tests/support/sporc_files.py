"""Corpus files in SPoRC's legacy layouts, made on the spot."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WORDS = "kitchen red boat lamp window bread door garden blue table stone river yellow coat hand smoke bell rope".split()  # noqa: SIM905


def turn(url: str, speaker: Any, text: str, **fields: Any) -> dict[str, Any]:
    """A turn record."""
    return {"mp3url": url, "speaker": speaker, "turnText": text, **fields}


def episode_turns(number: int, turns: int = 12, words: int = 40, show: str | None = None) -> list[dict[str, Any]]:
    """An episode of `turns` turns by two speakers, with `words` visual words each, different for each `number`."""
    dice = random.Random(number)
    url = f"https://audio.example/{show or 'show'}/{number}.mp3"
    fields = {} if show is None else {"podTitle": show}
    return [
        turn(url, [f"SPEAKER_0{index % 2}"], " ".join(dice.choices(WORDS, k=words)) + ".", **fields)
        for index in range(turns)
    ]


def write_lines(path: Path, lines: Iterable[dict[str, Any] | bytes]) -> Path:
    """JSON lines, gzipped where the name says so; bytes are written as they are."""
    data = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path
