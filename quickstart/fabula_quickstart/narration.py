"""A tiny world of films with audio description: what is seen of a clip decides who is named and what is said.

It comes in the layout in which TV-AD is published: one JSON file of rows, a bank of clips in HDF5, and exemplars. A
frame is drawn as features alone, 4 x 64: a direction for each character, one for each deed, and noise.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = "narration"
CAST = {"nm0000001": ("Ada Finch", "Ada", "Jo Reed"), "nm0000002": ("Bruno Vale", "Bruno", "Max Hall")}
DEEDS = (
    "opens the door", "walks to the window", "sits down at the table", "picks up the phone", "turns off the lamp",
    "runs up the stairs",
)  # fmt: skip
FILMS, CLIPS = 12, 24
PARTS, WIDTH, NOISE = 4, 64, 0.3


def rows(seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows of all films in order: nine in ten have a clip before them, and both characters are candidates."""
    rng = random.Random(seed)  # noqa: S311 - stories, not secrets
    people = [
        {"id": person, "role": role, "name": actor, "char_in_ad": short}
        for person, (role, short, actor) in CAST.items()
    ]
    for film in range(1, FILMS + 1):
        before: dict[str, Any] | None = None
        for clip in range(CLIPS):
            person, deed = rng.choice(people), rng.choice(DEEDS)
            row = {
                "start": clip * 10, "end": clip * 10 + 8, "ad": f"{person['char_in_ad']} {deed}.",
                "char": [person], "char_in_ad": [person["char_in_ad"]], "char_pred": people, "prob": people,
                "prob_data": [0.9, 0.8], "key_name": f"tiny_s01e{film:02d}_clip",
            }  # fmt: skip
            if before is not None and rng.random() < 0.9:
                row["content"] = {key: before[key] for key in ("start", "end", "ad")}
            before = row
            yield row


def write(folder: Path, seed: int = 0) -> None:
    """Annotations, bank and exemplars into a folder. The same code and seed give the same content."""
    import h5py
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    directions = {what: rng.normal(size=(PARTS, WIDTH)).astype(np.float32) for what in (*CAST, *DEEDS)}
    made = list(rows(seed))
    (folder / "tvad.json").write_text(json.dumps({"tvad": made}, indent=1))
    with h5py.File(folder / "bank.h5", "w", track_order=True) as bank:
        for row in made:
            deed = next(deed for deed in DEEDS if row["ad"].endswith(f"{deed}."))
            clip = directions[row["char"][0]["id"]] + directions[deed]
            frames = clip + NOISE * rng.normal(size=(rng.integers(6, 12), PARTS, WIDTH))
            bank[f"{row['key_name']}_{row['start']}_{row['end']}"] = frames.astype(np.float16)
    save_file({f"{person}.jpg": directions[person] for person in CAST}, folder / "exemplars.safetensors")


def corpus() -> list[str]:
    """What a tiny language model's tokenizer learns: every description, and the words around vectors."""
    said = sorted({row["ad"] for row in rows()})
    told = [f"{short} played by {actor}" for _, short, actor in CAST.values()]
    return [*said, *told, "Possible characters :", "; ", ". ", "Describe ", ":"] * 4
