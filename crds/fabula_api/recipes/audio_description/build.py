"""What a DatasetBuild of the recipe `audio-description` has beside the fields of every build."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fabula_api.base import Name, Rule, SpecModel, Uri
from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.shared_spec import Resources

FRAMES_PER_SECOND = 5.0
"""Of the published bank of frames."""


class Bank(SpecModel):
    """Features of frames or clips in one HDF5 file, on disk or on S3. Of a film, only the clips that are asked for are
    read."""

    uri: Uri
    """The HDF5 file."""
    layout: Literal["frames", "clips"] = "frames"
    """`frames`: an entry for each film, one row a frame; `clips`: an entry for each clip, called
    `{clip}_{start}_{end}`."""
    fps: float = Field(FRAMES_PER_SECOND, gt=0, le=240)
    """Frames a second of the layout `frames`."""


class NarrationSource(SpecModel):
    """Films with their audio description, in one of the published layouts."""

    name: Name
    """Begins the ids of its samples."""
    format: Literal["mad-train", "mad-eval", "cmdad", "tvad"]
    """Layout of the annotations: those of MAD's training and evaluation sets, of CMD-AD, or of TV-AD."""
    annotations: Uri
    """JSON file with the descriptions, their times and their characters."""
    bank: Bank
    """Features of the pictures."""
    exemplars: Uri | None = None
    """Pictures' features of the characters, by person: `.safetensors`, or a `.pth.tar` of arrays."""
    cast: Uri | None = None
    """JSON table from a person's id to `name`, `role` and `char_in_ad`, the short name that descriptions use."""
    titles: Uri | None = None
    """JSON table from a film or clip to its title's id. A table by sentence is refused: equal sentences of two films
    would be one."""
    characters: Literal["refined", "candidates", "named"] = "refined"
    """Who the narrator is told may be seen: `refined` those whose published score reaches `threshold` (MAD: the
    published choice), `candidates` all that were recognised, `named` those that the description names (an oracle)."""
    threshold: float = Field(0.5, ge=0, le=1)
    """Least score of a candidate; for `refined`."""
    split: Literal["by-film", "train", "validation"] = "by-film"
    """Where its samples go: both splits, never one film in two, or all to one of them."""
    limit: int | None = Field(None, ge=1)
    """Read at most this many descriptions."""


class NarrationSplit(SpecModel):
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of the films of a source `by-film` that goes to validation."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Changes which films those are."""


class AudioDescriptionBuild(SpecModel):
    """Descriptions of films to samples: a clip, the clip before it, who may be seen, and the sentence."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "self.sources.all(one, self.sources.exists_one(other, other.name == one.name))",
            "message": "two sources have the same name",
            "fieldPath": ".sources",
        },
    )
    sources: list[NarrationSource] = Field(min_length=1, max_length=8)
    """Where descriptions and features come from. All must have features of one shape."""
    selection: Literal["all", "reference"] = "all"
    """Which rows become samples: `all` that have a clip, or as the reference selects, only those that have a clip
    before them as well, which leaves out 1,076 of TV-AD's 2,983."""
    max_words: int | None = Field(None, ge=1, le=1000)
    """Longest description in words; longer ones are left out and counted. Default: no bound."""
    max_bad_fraction: float = Field(0.01, ge=0, le=1)
    """Share of unreadable rows that is tolerated (each is counted); above it the build fails."""
    split: NarrationSplit = Field(default_factory=NarrationSplit)
    """Training and validation."""
    workers: int = Field(1, ge=1, le=256)
    """Number of shards that read features, one pod each."""
    resources: Resources = Field(default_factory=Resources)
    """Resources of one shard."""


class AudioDescriptionBuildSpec(DatasetBuildSpec):
    audio_description: AudioDescriptionBuild
    """Descriptions of films to samples."""
