"""VIST's story-in-sequence layout: one JSON of one-element lists, a folder of photos named by their Flickr ids."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import PurePosixPath
from typing import Any

from fabula_workloads.recipes.podcast.sequences.choice import Sequence
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.store import Store

LENGTH = 5
"""Pictures of a VIST story."""
_ANNOTATIONS = ("test.story-in-sequence.json", "sis/test.story-in-sequence.json")
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp"})


def read_vist(store: Store, annotations: str | None = None) -> tuple[list[Sequence], Counter[str]]:
    """Stories with exactly five annotations in order 0 to 4 and all five photos; the others counted by reason.

    `annotations` is the file's path in the store; by default VIST's own names are looked for. Raises InputInvalid for a
    file that is missing or is no story-in-sequence JSON.
    """
    name, data = _annotations(store, annotations)
    where = f"samples.uri: {store.uri}/{name}"
    try:
        entries = json.loads(data)["annotations"]
        assert isinstance(entries, list)
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError) as error:
        raise InputInvalid(f"{where} is no VIST annotation file: a JSON object with a list `annotations`") from error
    tally: Counter[str] = Counter()
    stories: dict[str, dict[int, tuple[str, str]]] = defaultdict(dict)
    broken: set[str] = set()
    for entry in entries:
        try:
            element = entry[0] if isinstance(entry, list) else entry
            story, order = str(element["story_id"]), int(element["worker_arranged_photo_order"])
            photo, text = str(element["photo_flickr_id"]), str(element.get("text") or element.get("original_text", ""))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            tally["record/rejected/MalformedAnnotation"] += 1
            continue
        if order in stories[story]:
            broken.add(story)
        stories[story][order] = (photo, text)
    photos = _photos(store)
    sequences = []
    for story, annotated in stories.items():
        if story in broken or sorted(annotated) != list(range(LENGTH)):
            tally["sequence/skipped/NotFivePhotos"] += 1
            continue
        ids, texts = zip(*(annotated[order] for order in range(LENGTH)), strict=True)
        if not all(photo in photos for photo in ids):
            tally["sequence/skipped/PhotoMissing"] += 1
            continue
        sequences.append(Sequence(story, ids, tuple(photos[photo] for photo in ids), " ".join(texts).strip()))
    return sequences, tally


def _annotations(store: Store, named: str | None) -> tuple[str, bytes]:
    for name in (named,) if named else _ANNOTATIONS:
        try:
            return name, store.read(name)
        except NotFound:
            continue
    looked = named or " or ".join(_ANNOTATIONS)
    raise InputInvalid(f"samples.uri: {store.uri} has no {looked}; name the annotation file, or a folder that holds it")


def _photos(store: Store) -> dict[str, str]:
    """Path of each photo by its id, from one listing: asking for each of 80,000 alone would take an hour on S3."""
    photos: dict[str, Any] = {}
    for entry in sorted(store.list(), key=lambda entry: entry.path):
        path = PurePosixPath(entry.path)
        if path.suffix.lower() in PHOTO_SUFFIXES:
            photos.setdefault(path.stem, entry.path)
    return photos
