"""A small dataset artifact and a tiny model for tests of training: real files, made in seconds."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from fabula_api.artifact import MANIFEST, Manifest
from fabula_quickstart.tiny import qwen3_vl
from fabula_workloads.runtime.artifact import add_part, commit, part_of, require_manifest
from fabula_workloads.runtime.open_store import open_store

WORDS = ("harbour", "kettle", "lantern", "rope", "crate", "window", "bicycle", "basket")
PROMPT = "Generate a dialogue. Use the format Speaker 1:, Speaker 2:."


def samples(count: int, images: Sequence[int] = (2,), seed: int = 0) -> list[dict[str, Any]]:
    """Records as they stand in train.jsonl; `images` is cycled through for the number of pictures."""
    rng = random.Random(seed)
    made = []
    for index in range(count):
        name = f"s{seed}-{index:03d}"
        turns = [f"Speaker {turn % 2 + 1}: The {rng.choice(WORDS)} by the {rng.choice(WORDS)}." for turn in range(4)]
        number = images[index % len(images)]
        made.append(
            {
                "id": name,
                "images": [f"samples/{name}/image_{k}.png" for k in range(1, number + 1)],
                "prompt": PROMPT,
                "response": "\n\n".join(turns),
            }
        )
    return made


def write_dataset(
    folder: Path,
    train: list[dict[str, Any]],
    validation: list[dict[str, Any]] | None = None,
    recipe: str = "podcast",
) -> Manifest:
    """A committed dataset artifact with these records and their pictures."""
    store = open_store(f"file://{folder}")
    parts = []
    validation = validation or []
    for index, record in enumerate([*train, *validation]):
        for number, path in enumerate(record["images"]):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (96, 64), (index * 37 % 256, number * 50, 90)).save(file)
            parts.append(add_part(store, path, file.read_bytes()))
    for split, records in (("train", train), ("validation", validation)):
        text = "".join(json.dumps(record) + "\n" for record in records)
        parts.append(add_part(store, f"{split}.jsonl", text.encode()))
    splits = {"train": len(train), "validation": len(validation)}
    details = {"recipe": recipe, "promptVersion": "podcast-v3", "splits": splits}
    return commit(store, kind="dataset", parts=parts, details=details)


def commit_as_it_is(folder: Path) -> Manifest:
    """Commit a dataset anew with the parts as they now are, as a build that made them so would have."""
    store = open_store(f"file://{folder}")
    manifest = require_manifest(store)
    store.delete(MANIFEST)
    parts = [part_of(part.path, folder / part.path) for part in manifest.parts]
    return commit(store, kind=manifest.kind, parts=parts, details=manifest.details)


def build_model(folder: Path) -> Path:
    """A tiny Qwen3-VL whose tokenizer knows these samples' words."""
    qwen3_vl.build(folder, [PROMPT, *(record["response"] for record in samples(40))])
    return folder
