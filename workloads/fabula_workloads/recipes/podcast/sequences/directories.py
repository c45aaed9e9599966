"""Sample folders as the reference system keeps them: `sample_NN_story_ID/image_k_PHOTO.jpg` and a human story."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import PurePosixPath

from fabula_workloads.recipes.podcast.sequences.choice import Sequence
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.store import Store

STORY_FILE = "ground_truth_story.txt"
_FOLDER = re.compile(r"sample_\d+_story_(?P<story>[A-Za-z0-9.-]+)")
_IMAGE = re.compile(r"image_(?P<number>\d+)(?:_(?P<photo>[^.]+))?\.(?:jpe?g|png)", re.IGNORECASE)
_SENTENCE = re.compile(r"\[Image \d+\][:：]\s*(.*)")


def read_directories(store: Store) -> tuple[list[Sequence], Counter[str]]:
    """The sample folders with at least one picture, numbered from 1 without a gap; the others counted by reason.

    Raises InputInvalid when there is no sample folder at all.
    """
    folders: dict[str, dict[int, tuple[str, str]]] = defaultdict(dict)
    stories: set[str] = set()
    for entry in store.list():
        path = PurePosixPath(entry.path)
        if len(path.parts) != 2 or not _FOLDER.fullmatch(path.parts[0]):
            continue
        images = folders[path.parts[0]]
        if path.name == STORY_FILE:
            stories.add(path.parts[0])
        elif image := _IMAGE.fullmatch(path.name):
            # Without a photo id in its name a picture is only ever itself.
            images[int(image["number"])] = (image["photo"] or entry.path, entry.path)
    if not folders:
        raise InputInvalid(f"samples.uri: {store.uri} has no folder named like sample_01_story_45530")
    tally: Counter[str] = Counter()
    sequences = []
    for name, images in sorted(folders.items()):
        if not images or sorted(images) != list(range(1, len(images) + 1)):
            tally["sequence/skipped/PhotoMissing"] += 1
            continue
        photos, pictures = zip(*(images[number] for number in sorted(images)), strict=True)
        story = story_text(store.read(f"{name}/{STORY_FILE}").decode("utf-8", "replace")) if name in stories else ""
        match = _FOLDER.fullmatch(name)
        assert match is not None  # the folder was matched when it was collected
        sequences.append(Sequence(match["story"], photos, pictures, story, name))
    return sequences, tally


def story_text(content: str) -> str:
    """The story of either format: five joined sentences, or a headed text with `[Image k]: ...` lines."""
    sentences = _SENTENCE.findall(content)
    return " ".join(sentence.strip() for sentence in sentences) if sentences else " ".join(content.split())
