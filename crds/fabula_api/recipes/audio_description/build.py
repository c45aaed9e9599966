"""What a DatasetBuild of the recipe `audio-description` has beside the fields of every build."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fabula_api.base import Name, Rule, SpecModel, Uri
from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.shared_spec import ModelSource, Resources

FRAMES_PER_SECOND = 5.0
"""Of the published bank of frames."""
OWN = "video"
"""The format of one's own films."""
Characters = Literal["refined", "learned", "candidates", "named"]


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
    """Films with their audio description, in one of the published layouts, or one's own films."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "self.format == 'video' ? has(self.films) && !has(self.bank) && !has(self.exemplars)"
            " : has(self.bank) && !has(self.films) && !has(self.photos)",
            "message": "format video needs films, and makes bank and exemplars itself, out of films and photos; every "
            "other format needs a bank, and no films or photos",
            "fieldPath": ".format",
        },
        {
            "rule": "self.format != 'video' || !has(self.characters) || self.characters != 'refined'",
            "message": "no scores were published of one's own films: leave characters out (learned), or set it to "
            "candidates or named",
            "fieldPath": ".characters",
        },
    )
    name: Name
    """Begins the ids of its samples."""
    format: Literal["mad-train", "mad-eval", "cmdad", "tvad", "video"]
    """Layout of the annotations: those of MAD's training and evaluation sets, of CMD-AD, of TV-AD, or `video` for films
    of one's own."""
    annotations: Uri
    """JSON file with the descriptions, their times and their characters. Of `video`, a CSV with the columns film,
    start, end and text; or a WebVTT or SRT file called as its film, or a folder of them."""
    films: Uri | None = None
    """Folder with the films of `video`."""
    photos: Uri | None = None
    """Folder with a photo of each person of the cast of `video`, called as the person's id: `nm0000123.jpg`. With them
    it is found where in a film a character is seen."""
    bank: Bank | None = None
    """Features of the pictures; of `video` they are made."""
    exemplars: Uri | None = None
    """Pictures' features of the characters, by person: `.safetensors`, or a `.pth.tar` of arrays."""
    cast: Uri | None = None
    """JSON table from a person's id to `name`, `role` and `char_in_ad`, the short name that descriptions use. Of
    `video`, from a film to the list of its people in billing order, each with `id` as well; the first ten are looked
    for."""
    titles: Uri | None = None
    """JSON table from a film or clip to its title's id. A table by sentence is refused: equal sentences of two films
    would be one."""
    characters: Characters | None = None
    """Who the narrator is told may be seen: `refined` those whose published score reaches `threshold` (MAD: the
    published choice), `learned` those whose score by a model that is learned from this dataset does, `candidates` all
    that were recognised, `named` those that the description names (an oracle). Default: `refined`; of `video`,
    `learned` where there are photos, else `candidates`."""
    threshold: float = Field(0.5, ge=0, le=1)
    """Least score of a candidate; for `refined` and `learned`."""
    split: Literal["by-film", "train", "validation"] = "by-film"
    """Where its samples go: both splits, never one film in two, or all to one of them."""
    limit: int | None = Field(None, ge=1)
    """Read at most this many descriptions."""

    @property
    def chosen(self) -> Characters:
        """Who is told of, by the source's own word or the default of its format."""
        if self.characters is not None:
            return self.characters
        if self.format != OWN:
            return "refined"
        return "learned" if self.photos else "candidates"

    @property
    def layout(self) -> Literal["frames", "clips"]:
        """That of its bank; features of one's own films lie film by film."""
        return self.bank.layout if self.bank is not None else "frames"


class Films(SpecModel):
    """One's own films as pictures, on CPU pods."""

    fps: float = Field(FRAMES_PER_SECOND, gt=0, le=60)
    """Pictures a second."""
    side: int = Field(224, ge=16, le=1024)
    """Their shorter side in pixels, as the encoder takes them."""
    shown: int = Field(3, ge=0, le=16)
    """Pictures of each clip that the dataset keeps, for the report."""
    workers: int = Field(1, ge=1, le=256)
    """Number of shards, one pod each; a film is an item."""
    resources: Resources = Field(default_factory=Resources)
    """Resources of one shard."""


class Encoder(SpecModel):
    """Features of one's own films and of photos, on GPU pods."""

    model: ModelSource = Field(
        default_factory=lambda: ModelSource(
            name="openai/clip-vit-large-patch14", revision="32bd64288804d66eefd0ccbe215aa642df71cc41"
        )
    )
    """Model in CLIP's format; the published banks of MAD are of the default one."""
    device: Literal["cuda", "cpu"] = "cuda"
    """Device of its pods."""
    batch_size: int = Field(64, ge=1, le=4096)
    """Pictures that are encoded at once."""
    workers: int = Field(1, ge=1, le=256)
    """Number of shards, one pod each; a film is an item."""
    resources: Resources = Field(default_factory=Resources)
    """Resources of one shard."""


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
    films: Films = Field(default_factory=Films)
    """How films of one's own become pictures."""
    encoder: Encoder = Field(default_factory=Encoder)
    """What makes features of those pictures."""
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

    @property
    def reads_films(self) -> bool:
        """Whether a source has films of one's own."""
        return any(source.format == OWN for source in self.sources)

    @property
    def learns_who(self) -> bool:
        """Whether it is learned from this dataset who is named."""
        return any(source.chosen == "learned" for source in self.sources)


class AudioDescriptionBuildSpec(DatasetBuildSpec):
    audio_description: AudioDescriptionBuild
    """Descriptions of films to samples."""

    @property
    def reads_films(self) -> bool:
        """Whether a source has films of one's own."""
        return self.audio_description.reads_films

    @property
    def film_sources(self) -> list[tuple[str, str | None, str | None]]:
        """What decides how the films are cut into pictures and features, beside rows: names, films and photos."""
        own_films = (source for source in self.audio_description.sources if source.format == OWN)
        return [(source.name, source.films, source.photos) for source in own_films]

    @property
    def learns_who(self) -> bool:
        """Whether it is learned from this dataset who is named."""
        return self.audio_description.learns_who
