"""Outcomes of films in the ledgers of `frames`, `embed` and `collect`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from fabula_api.base import Record
from fabula_workloads.recipes.audio_description.ingest import FILES
from fabula_workloads.runtime.outcomes import Kept, Outcome
from fabula_workloads.runtime.store import Store


class Pictures(Outcome):
    """Of a film: its pictures, in a tar file in the order of time."""

    count: int = 0
    cut: bool = False
    """Whether the file could be read up to its middle only; the pictures are those up to there."""
    path: str | None = None
    sha256: str | None = None


class Looks(Kept):
    """Of a person in a film: the pictures that are most like the photo."""

    pictures: tuple[int, ...] = ()
    """By number, the most alike first."""
    reason: str | None = None
    """Why there are none."""


class Embedded(Outcome):
    """Of a film: features of its pictures, and exemplars of its cast."""

    count: int = 0
    path: str | None = None
    sha256: str | None = None
    looks: dict[str, Looks] = Field(default_factory=dict)
    """By person."""
    faces: str | None = None
    """File with their exemplars."""


class ShownPictures(Kept):
    """Of a film: the pictures of its clips that people are shown, in a tar file."""

    path: str
    sha256: str
    shown: dict[str, tuple[str, ...]]
    """Their names, by clip."""


class Collected(Outcome):
    """Of a film: the features of its clips, in one file."""

    clips: int = 0
    """That have features."""
    rejected: dict[str, str] = Field(default_factory=dict)
    """Why a clip has none, by clip."""
    path: str | None = None
    """None where no clip has features."""
    sha256: str | None = None
    shape: tuple[int, ...] = ()
    """Of a frame's features."""
    pictures: ShownPictures | None = None
    """Of one's own films."""


class Files(Record):
    """Where a source's files lie, below its folders."""

    films: Mapping[str, str]
    """By film."""
    photos: Mapping[str, str]
    """By person."""


def read_files(store: Store) -> dict[str, Files]:
    """Files of each source of one's own films, as `ingest` found them."""
    files: dict[str, Any] = json.loads(store.read(FILES))
    return {name: Files.model_validate(listed) for name, listed in files.items()}


FRAMES = "frames"
"""Tensor with a film's features, one row a picture."""


def picture_name(number: int) -> str:
    """Of a picture in its film's tar file."""
    return f"{number:07d}.jpg"
