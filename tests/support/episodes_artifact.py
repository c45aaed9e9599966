"""An ingest artifact of made-up episodes, as `extract` reads it."""

from __future__ import annotations

import json
import random
from pathlib import Path

from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.open_store import open_store

PLACES = "harbour kitchen garden bakery workshop market river lighthouse orchard station".split()  # noqa: SIM905


def episode(number: int, turns: int = 40, words: int = 30) -> dict[str, object]:
    """An episode of two speakers about a place, its words different from every other's."""
    dice = random.Random(number)
    place = PLACES[number % len(PLACES)]
    said = [
        {
            "speaker": f"Speaker {1 + index % 2}",
            "text": " ".join(f"{place}{dice.randrange(100_000)}" for _ in range(words)) + ".",
        }
        for index in range(turns)
    ]
    return {"id": f"{number:016x}", "podcast": f"show{number % 3}", "turns": said, "words": 0, "characters": 0}


def write_episodes(root: Path, episodes: list[dict[str, object]], name: str = "ingest") -> str:
    """Commit the artifact below `root`; its folder's name."""
    store = open_store(f"file://{root}/{name}")
    lines = "".join(json.dumps(record) + "\n" for record in episodes)
    part = add_part(store, "episodes.jsonl", lines.encode())
    commit(store, kind="episodes", parts=[part], counts={"episode/ok": len(episodes)})
    return name
