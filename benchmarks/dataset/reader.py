"""Speed and peak memory of `ingest`: over sizes of input, and for very many small episodes in each layout."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from in_process import in_process
from tests.support.sporc_files import WORDS
from tests.support.stage_context import stage_context

TURNS_OF_AN_EPISODE = 200
TURNS_OF_A_SMALL_ONE = 2
ROWS_AT_ONCE = 50_000


def write_turns(path: Path, turns: int) -> None:
    """A corpus of turn records, each episode's together, about 30 words a turn."""
    dice = random.Random(turns)
    with path.open("w", encoding="utf-8") as lines:
        for number in range(turns):
            episode = number // TURNS_OF_AN_EPISODE
            text = " ".join(dice.choices(WORDS, k=dice.randint(5, 55))) + "."
            record = {
                "mp3url": f"https://audio.example/{episode}.mp3", "podTitle": f"show {episode % 50}",
                "speaker": [f"SPEAKER_0{number % 2}"], "turnText": text,
            }  # fmt: skip
            lines.write(json.dumps(record) + "\n")


def _small_turns(episodes: int) -> Iterator[dict[str, Any]]:
    """Two turns of 12 words for each episode."""
    dice = random.Random(episodes)
    texts = [" ".join(dice.choices(WORDS, k=12)) + "." for _ in range(1_000)]
    for number in range(TURNS_OF_A_SMALL_ONE * episodes):
        episode = number // TURNS_OF_A_SMALL_ONE
        yield {
            "mp3url": f"https://audio.example/{episode}.mp3", "podTitle": f"show {episode % 50_000}",
            "speaker": f"SPEAKER_0{number % 2}", "turnText": texts[dice.randrange(1_000)],
        }  # fmt: skip


def write_small_turns(path: Path, episodes: int) -> None:
    """JSON lines of small turns."""
    with path.open("w", encoding="utf-8") as lines:
        for record in _small_turns(episodes):
            lines.write(json.dumps(record) + "\n")


def write_small_episodes(path: Path, episodes: int) -> None:
    """JSON lines of episodes with a transcript of 24 words each."""
    with path.open("w", encoding="utf-8") as lines:
        turns = _small_turns(episodes)
        while pair := list(islice(turns, TURNS_OF_A_SMALL_ONE)):
            record = {name: pair[0][name] for name in ("mp3url", "podTitle")}
            lines.write(json.dumps({**record, "transcript": " ".join(turn["turnText"] for turn in pair)}) + "\n")


def write_small_parquet(path: Path, episodes: int) -> None:
    """A Parquet file of small turns."""
    turns = _small_turns(episodes)
    names = {"mp3url": "mp3url", "podTitle": "podcast_id", "speaker": "speaker", "turnText": "turn_text"}
    schema = pyarrow.schema([(name, pyarrow.string()) for name in names.values()])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while rows := list(islice(turns, ROWS_AT_ONCE)):
            columns = {new: [row[old] for row in rows] for old, new in names.items()}
            writer.write_table(pyarrow.table(columns, schema=schema))


LAYOUTS: dict[str, tuple[str, Callable[[Path, int], None], int]] = {
    "episode records": ("episodes.jsonl", write_small_episodes, 1),
    "turn records": ("turns.jsonl", write_small_turns, TURNS_OF_A_SMALL_ONE),
    "Parquet, turns": ("turns.parquet", write_small_parquet, TURNS_OF_A_SMALL_ONE),
}
"""Layout to its file's name, who writes it, and records for each episode."""


def ingest(root: str, name: str) -> dict[str, float]:
    """Seconds that the stage takes for one source."""
    from fabula_workloads.recipes.podcast.ingest import run

    source = {"uri": name, "licenseAccepted": True, "minTurns": 2, "minCharacters": 20}
    start = time.perf_counter()
    result = run(stage_context(Path(root), "DatasetBuild", "ingest", {"source": source}, f"out/{name}"))
    return {"seconds": time.perf_counter() - start, "episodes": result.counts["episode/ok"]}


def _row(folder: str, path: Path, records: int) -> dict[str, float]:
    row = in_process(ingest, folder, path.name)
    return row | {"records": records, "mib": path.stat().st_size / 2**20, "rate": records / row["seconds"]}


def by_size(sizes: tuple[int, ...]) -> Iterator[dict[str, float]]:
    """A row for each number of turns."""
    with tempfile.TemporaryDirectory() as folder:
        for turns in sizes:
            path = Path(folder) / f"{turns}.jsonl"
            write_turns(path, turns)
            yield _row(folder, path, turns)
            path.unlink()


def by_layout(episodes: int) -> Iterator[tuple[str, dict[str, float]]]:
    """A row for each layout, all with so many small episodes."""
    for layout, (name, write, records) in LAYOUTS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            write(path, episodes)
            row = _row(folder, path, episodes * records)
            assert row["episodes"] == episodes, f"{layout}: {row['episodes']:.0f} of {episodes} episodes were read"
            yield layout, row
