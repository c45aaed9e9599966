"""Speed and peak memory of `ingest` over sizes of input, and of `assemble` for a dataset, each in its own process."""

from __future__ import annotations

import io
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image
from tests.support.sporc_files import WORDS
from tests.support.stage_context import stage_context

from fabula_workloads.runtime.artifact import commit
from fabula_workloads.runtime.ledger import item_path
from fabula_workloads.runtime.store import open_store

TURNS_OF_AN_EPISODE = 200
MIB = 1024


def in_process(work: Callable[..., dict[str, float]], *given: Any) -> dict[str, float]:
    """What `work` returns, run in a fresh process, with the most memory that process had."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, *given))


def _measured(work: Callable[..., dict[str, float]], *given: Any) -> dict[str, float]:
    figures = work(*given)
    return figures | {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB}


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


def ingest(root: str, name: str) -> dict[str, float]:
    """Seconds that the stage takes for one source."""
    from fabula_workloads.recipes.podcast.ingest import run

    spec = {"source": {"uri": name, "licenseAccepted": True}}
    start = time.perf_counter()
    result = run(stage_context(Path(root), "DatasetBuild", "ingest", spec, f"out/{name}"))
    return {"seconds": time.perf_counter() - start, "episodes": result.counts["episode/ok"]}


def reader(sizes: tuple[int, ...]) -> list[dict[str, float]]:
    """A row for each number of turns."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for turns in sizes:
            path = Path(folder) / f"{turns}.jsonl"
            write_turns(path, turns)
            row = in_process(ingest, folder, path.name)
            rows.append(row | {"turns": turns, "mib": path.stat().st_size / 2**20, "rate": turns / row["seconds"]})
            path.unlink()
    return rows


def write_stages(root: Path, samples: int, scenes: int) -> None:
    """What the stages before leave: excerpts of 600 words and small pictures, all different."""
    dice = random.Random(samples)
    words = [f"{word}{number}" for word in WORDS for number in range(200)]
    commit(open_store(f"file://{root}/ingest"), kind="episodes", parts=[], counts={"episode/ok": samples // 4})
    for start in range(0, samples, 4):
        episode = f"{start:016x}"
        excerpts = []
        for index in range(4):
            turns = [f"Speaker {1 + n % 2}: {' '.join(dice.choices(words, k=40))}." for n in range(15)]
            found = [{"index": scene, "prompt": f"scene {scene}"} for scene in range(1, scenes + 1)]
            excerpts.append({"index": index, "text": "\n\n".join(turns), "words": 630, "scenes": found})
            for scene in range(1, scenes + 1):
                png = _png(dice)
                path = f"pictures/{episode}/{index}-{scene}.png"
                outcome = {"outcome": "ok", "path": path, "sha256": sha256(png).hexdigest()}
                _write(root / "illustrate" / path, png)
                key = item_path(f"{episode}-{index}-{scene}")
                _write(root / "illustrate" / key, json.dumps(outcome).encode())
        outcome = {"outcome": "ok", "podcast": f"show{start % 40}", "excerpts": excerpts}
        _write(root / "extract" / item_path(episode), json.dumps(outcome).encode())


def _png(dice: random.Random) -> bytes:
    data = io.BytesIO()
    Image.frombytes("RGB", (64, 36), dice.randbytes(64 * 36 * 3)).save(data, "PNG")
    return data.getvalue()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def assemble(root: str) -> dict[str, float]:
    """Seconds that the stage takes, and how many samples and parts it commits."""
    from fabula_workloads.recipes.podcast.assemble import run

    inputs = {name: name for name in ("ingest", "extract", "illustrate")}
    spec = {"source": {"uri": "s"}, "images": {"provider": "bedrock"}}
    start = time.perf_counter()
    result = run(stage_context(Path(root), "DatasetBuild", "assemble", spec, "dataset", inputs))
    assert result.artifact is not None
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "samples": result.counts["sample/ok"], "parts": len(result.artifact.parts)}


def assembly(samples: int, scenes: int) -> dict[str, float]:
    """The row of one dataset."""
    with tempfile.TemporaryDirectory() as folder:
        write_stages(Path(folder), samples, scenes)
        return in_process(assemble, folder)
