"""Speed and peak memory of `assemble` for a whole dataset."""

from __future__ import annotations

import io
import json
import random
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from in_process import in_process
from PIL import Image
from tests.support.sporc_files import WORDS
from tests.support.stage_context import stage_context

from fabula_workloads.runtime.artifact import commit
from fabula_workloads.runtime.ledger import item_path
from fabula_workloads.runtime.open_store import open_store


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
            described = [{"index": scene, "prompt": f"scene {scene}"} for scene in range(1, scenes + 1)]
            excerpts.append({"index": index, "text": "\n\n".join(turns), "words": 630, "scenes": described})
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
