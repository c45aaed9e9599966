"""A dataset of descriptions as `assemble` makes it, and a tiny LLaMA: a world in which a narrator can be trained."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from fabula_api.artifact import Manifest
from fabula_quickstart.tiny import llama
from fabula_workloads.recipes.audio_description.details import PROMPT_VERSION, NarrationDatasetDetails
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.open_store import open_store

PEOPLE = {"nm01": ("Ada", "Jo Reed"), "nm02": ("Bruno", "Max Hall")}
DEEDS = ("opens the door", "waves", "sits down", "runs away")
WIDTH = 16


def records(
    count: int, seed: int = 0, *, parts: int = 1
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Lines of a split, the features of their clips, and the exemplars. What is seen decides what is said."""
    rng = random.Random(seed)
    direction = np.random.default_rng(7).normal(size=(len(PEOPLE) + len(DEEDS), parts, WIDTH)).astype(np.float32)
    noise = np.random.default_rng(seed)
    lines, features = [], {}
    for number in range(count):
        person, deed = rng.choice(sorted(PEOPLE)), rng.randrange(len(DEEDS))
        who = sorted(PEOPLE).index(person)
        frames = rng.randrange(5, 14)
        clip = direction[who] + direction[len(PEOPLE) + deed]
        features[f"clip-{number}"] = clip + 0.1 * noise.normal(size=(frames, parts, WIDTH)).astype(np.float32)
        name = f"s{seed}-{number:03d}"
        told = [{"id": key, "name": PEOPLE[key][1], "role": PEOPLE[key][0], "short_name": PEOPLE[key][0],
                 "exemplar": f"face-{key}"} for key in sorted(PEOPLE)]  # fmt: skip
        previous = None
        if number % 3:
            previous = {"text": lines[-1]["text"], "clip": f"clip-{number - 1}" if number % 3 == 1 else None}
        lines.append(
            {
                "id": name, "source": "tiny", "film": f"film-{seed}", "start": number, "end": number + 1,
                "text": f"{PEOPLE[person][0]} {DEEDS[deed]}.", "features": f"features/film-{seed}.safetensors",
                "clip": f"clip-{number}", "previous": previous, "characters": told if number % 5 else [],
                "named": [PEOPLE[person][0]],
            }
        )  # fmt: skip
    faces = {f"face-{key}": direction[place] for place, key in enumerate(sorted(PEOPLE))}
    return lines, features, faces


def write_narration(folder: Path, train: int = 24, validation: int = 6, *, parts: int = 1) -> Manifest:
    """A committed dataset."""
    store = open_store(f"file://{folder}")
    made, sizes = [], {"train": train, "validation": validation}
    faces: dict[str, Any] = {}
    for seed, (split, count) in enumerate(sizes.items()):
        lines, features, faces = records(count, seed, parts=parts)
        if parts == 1:
            features = {key: value[:, 0] for key, value in features.items()}
        made.append(add_part(store, f"features/film-{seed}.safetensors", save(features)))
        made.append(add_part(store, f"{split}.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode()))
    made.append(add_part(store, "exemplars.safetensors", save(faces)))
    shape = (WIDTH,) if parts == 1 else (parts, WIDTH)
    details = NarrationDatasetDetails(
        recipe="audio-description", prompt_version=PROMPT_VERSION, splits=sizes, feature_shape=shape
    )
    return commit(store, kind="dataset", parts=made, details=details)


def build_language_model(folder: Path) -> Path:
    """A tiny LLaMA that knows the words of these descriptions."""
    lines, _, _ = records(200)
    said = [line["text"] for line in lines]
    people = [f"{role} played by {actor}; {role}." for role, actor in PEOPLE.values()]
    llama.build(folder, [*said, *people, "Possible characters: Describe :", "Possible characters : ; ."])
    return folder
