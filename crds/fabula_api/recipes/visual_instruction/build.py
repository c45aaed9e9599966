"""What a DatasetBuild of the recipe `visual-instruction` has beside the fields of every build."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fabula_api.base import Name, Rule, SpecModel, Uri
from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.shared_spec import Resources

Task = Literal["wake-up", "anomaly", "gesture", "reference", "interruption", "humor", "termination", "other"]
"""What is to be noticed: the seven subtasks of ViSpeak-Bench, or something else."""


class VideoSource(SpecModel):
    """Videos with what is said to them, and when."""

    name: Name
    """Begins the ids of its samples."""
    format: Literal["vispeak", "spans"] = "vispeak"
    """Layout of the annotations: `vispeak`, a JSON list of conversations with their seconds; `spans`, a CSV with the
    columns video, start, end, reply, and where there are any question, asked and task."""
    annotations: Uri
    """The JSON or CSV file."""
    videos: Uri
    """Folder below which the annotations' videos lie."""
    task: Task | None = None
    """What its samples are about, where the annotations do not say."""
    ratio: float = Field(1.0, gt=0, le=1)
    """Share of its rows that is drawn, by seed and not from the file's beginning."""
    learn_when: bool = True
    """Whether its replies teach when to speak; without it only what is said."""
    split: Literal["by-video", "train", "validation"] = "by-video"
    """Where its samples go: both splits, never one video in two, or all to one of them."""


class VideoFrames(SpecModel):
    fps: float = Field(1.0, gt=0, le=30)
    """Pictures a second."""
    side: int = Field(448, ge=28, le=2048)
    """Their sides in pixels; pictures are scaled to squares, as the published encoder takes them."""
    most: int = Field(64, ge=1, le=4096)
    """Pictures of one sample at most; a longer one is left out and counted."""
    least: int = Field(1, ge=1, le=64)
    """Pictures of one sample at least; a shorter one is read at a higher rate."""


class VideoSplit(SpecModel):
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of the videos of a source `by-video` that goes to validation."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Changes which videos those are, and which rows a `ratio` draws."""


class VisualInstructionBuild(SpecModel):
    """Videos to samples: pictures at their seconds, sound, and replies with the span in which each belongs."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "self.sources.all(one, self.sources.exists_one(other, other.name == one.name))",
            "message": "two sources have the same name",
            "fieldPath": ".sources",
        },
    )
    sources: Annotated[list[VideoSource], Field(min_length=1, max_length=32)]
    """Annotated videos that are mixed to one dataset."""
    frames: VideoFrames = Field(default_factory=VideoFrames)
    """How videos are cut into pictures."""
    sound: bool = False
    """Keep sound too, in seconds of 16 kHz. A video without any has none, and is counted."""
    max_bad_fraction: float = Field(0.01, ge=0, le=1)
    """Share of unreadable rows that is tolerated (each is counted); above it the build fails."""
    split: VideoSplit = Field(default_factory=VideoSplit)
    """Training and validation."""
    workers: int = Field(1, ge=1, le=256)
    """Number of shards that decode videos, one pod each."""
    resources: Resources = Field(default_factory=Resources)
    """Resources of one shard."""


class VisualInstructionBuildSpec(DatasetBuildSpec):
    visual_instruction: VisualInstructionBuild
    """Videos with replies at their seconds."""
