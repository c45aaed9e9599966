"""A model and a dataset on disk for the counted runs: samples of one length, two of which fill a packed sequence."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import gather_shapes
from PIL import Image

WORDS = ("harbour", "kettle", "lantern", "rope", "crate", "window", "bicycle", "basket")
PROMPT = "Look at the pictures and write a podcast dialogue about them."
PICTURES, SIDE, TURNS = 5, 224, 10
"""245 tokens of pictures and about 140 of text: an eighth of a published sample."""
SAMPLES = {"train": 16, "validation": 2}


def write(folder: Path) -> None:
    """Write `model` and `dataset`."""
    splits = {
        split: [_record(f"{split}-{number:02d}", number, folder / "dataset") for number in range(count)]
        for split, count in SAMPLES.items()
    }
    for split, records in splits.items():
        (folder / "dataset" / f"{split}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    gather_shapes.build(folder / "model", [PROMPT, *(record["response"] for record in splits["train"])])


def _record(name: str, number: int, folder: Path) -> dict[str, Any]:
    rng = random.Random(name)
    turns = [f"Speaker {turn % 2 + 1}: The {rng.choice(WORDS)} by the {rng.choice(WORDS)}." for turn in range(TURNS)]
    images = [f"samples/{name}/{picture}.png" for picture in range(PICTURES)]
    (folder / "samples" / name).mkdir(parents=True)
    for picture, path in enumerate(images):
        Image.new("RGB", (SIDE, SIDE), (number * 37 % 256, picture * 50, 90)).save(folder / path)
    return {"id": name, "images": images, "prompt": PROMPT, "response": "\n\n".join(turns)}
