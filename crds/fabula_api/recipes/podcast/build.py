"""What a DatasetBuild of the recipe `podcast` has beside the fields of every build: `spec.podcast`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fabula_api.base import Rule, SpecModel, Text, Uri, untouched
from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.quota import Quota, RequestQuota
from fabula_api.shared_spec import ModelSource, Resources


class Source(SpecModel):
    uri: Uri
    """Transcript file, or folder of Parquet partitions."""
    format: Literal["auto", "sporc-turns", "sporc-episodes", "sporc-parquet"] = "auto"
    """Layout of the source; `auto` looks at the first record."""
    limit: int | None = Field(None, ge=1)
    """Read at most this many episodes."""
    license_accepted: bool = False
    """You hold a licence for a gated corpus and may process it. Required for the layouts of SPoRC itself."""
    max_bad_fraction: float = Field(0.01, ge=0, le=1)
    """Share of unreadable records that is tolerated (each is counted by reason); above it the build fails."""
    min_turn_characters: int = Field(0, ge=0, le=1000)
    """Turns shorter than this are dropped. The reference used 10, which removes all back-channels."""
    merge_turns: bool = True
    """Join consecutive turns of one speaker."""
    back_channels: Literal["keep", "drop"] = "keep"
    """What happens to turns that only acknowledge ("yeah", "right")."""
    min_turns: int = Field(5, ge=1, le=1000)
    """Episodes with fewer turns are skipped."""
    min_characters: int = Field(2000, ge=0)
    """Episodes with a shorter transcript are skipped."""


class WordRange(SpecModel):
    cel: ClassVar[tuple[Rule, ...]] = ({"rule": "self.min <= self.max", "message": "min must not be greater than max"},)
    min: int = Field(400, ge=1, le=10_000)
    """Shortest excerpt, in words (labels count)."""
    max: int = Field(900, ge=1, le=10_000)
    """Longest excerpt, in words (labels count)."""


class Extraction(SpecModel):
    provider: Literal["bedrock", "rules"] = "bedrock"
    """`bedrock` asks a language model; `rules` scores windows of turns by their visual vocabulary, without a model."""
    model: Text = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
    """Model or inference profile; unused by `rules`."""
    region: Text = "us-west-2"
    """AWS region of the Bedrock endpoint."""
    endpoint_url: Uri | None = None
    """Private endpoint of the provider."""
    words: WordRange = Field(default_factory=WordRange)
    """Accepted length of an excerpt."""
    max_excerpts: int = Field(8, ge=1, le=100)
    """At most this many excerpts from one episode."""
    max_tokens: int = Field(8192, ge=256, le=65_536)
    """Longest reply; the quota reserves as much for each request."""
    min_verbatim_ratio: float = Field(0.8, ge=0, le=1)
    """Least share of an excerpt's word 5-grams that must stand in the transcript; `bedrock` only."""
    budget_share: float = Field(0.25, gt=0, le=1)
    """Part of `budget.usd` that extraction may take where `bedrock` draws the pictures; without paid pictures it may
    take all."""
    quota: Quota = Field(default_factory=Quota)
    """What the provider allows."""
    concurrency: int = Field(8, ge=1, le=64)
    """Requests that one shard has in flight at most; `bedrock` only."""
    workers: int = Field(1, ge=1, le=256)
    """Number of shards, one pod each."""
    resources: Resources = Field(default_factory=Resources)
    """Resources of one shard."""


class Images(SpecModel):
    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "!has(self.require) || self.require <= self.perSample",
            "message": "require must not be greater than perSample",
            "fieldPath": ".require",
        },
        {
            "rule": "self.provider != 'bedrock' || self.aspectRatio != '4:3'",
            "message": "bedrock draws no 4:3; use 16:9 or 1:1",
            "fieldPath": ".aspectRatio",
        },
        {
            "rule": "self.device == 'cuda' || (self.offload == 'auto' && !self.compile)",
            "message": "offload and compile are for device cuda; leave them out with cpu",
            "fieldPath": ".device",
        },
    )
    provider: Literal["bedrock", "diffusers", "none"] = "bedrock"
    """Who draws: Stable Diffusion 3.5 on Bedrock, the same locally through diffusers, or nobody."""
    model: ModelSource = Field(
        default_factory=lambda: ModelSource(
            name="stabilityai/stable-diffusion-3.5-large", revision="ceddf0a7fdf2064ea28e2213e3b84e4afa170a0f"
        )
    )
    """Weights for `diffusers`; unused by `bedrock`."""
    bedrock_model: Text = "stability.sd3-5-large-v1:0"
    """Model for `bedrock`; unused by `diffusers`."""
    region: Text = "us-west-2"
    """AWS region of the Bedrock endpoint."""
    endpoint_url: Uri | None = None
    """Private endpoint of the provider."""
    quota: RequestQuota = Field(default_factory=RequestQuota)
    """What the provider allows."""
    concurrency: int = Field(4, ge=1, le=64)
    """Requests that one shard has in flight at most; `bedrock` only."""
    device: Literal["cuda", "cpu"] = "cuda"
    """Device of the diffusers workers."""
    per_sample: int = Field(5, ge=1, le=6)
    """Scenes, and so pictures, for each excerpt."""
    aspect_ratio: Literal["16:9", "1:1", "4:3"] = "16:9"
    """Aspect ratio of the pictures."""
    width: int = Field(1344, ge=64, le=2048, multiple_of=16)
    """Width in pixels; the height follows from the aspect ratio, rounded to a multiple of 16. `bedrock` has its own."""
    steps: int = Field(28, ge=1, le=200)
    """Denoising steps of a picture: more take longer and draw finer."""
    guidance_scale: float = Field(4.5, ge=0, le=30)
    """Classifier-free guidance."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Base seed; each scene derives its own from it and its key."""
    batch_size: int | None = Field(None, ge=1, le=64)
    """Pictures drawn at once. Default: what the GPU's memory holds, 4 at most. What does not fit is halved."""
    offload: Literal["auto", "always", "never"] = "auto"
    """Whether the parts of the model wait in the pod's memory while another works on the GPU: `auto` where the GPU does
    not hold all of them. Pictures are the same; each batch waits some seconds for its parts."""
    compile: bool = False
    """Compile the drawing network before the first picture: a minute or more a pod, then quicker steps. GPUs only."""
    require: int | None = Field(None, ge=0, le=6)
    """Fewest pictures a sample must have. Default: all."""
    workers: int = Field(1, ge=1, le=256)
    """Number of shards, one pod each."""
    resources: Resources = Field(default_factory=Resources)
    """Resources of one shard."""


class Split(SpecModel):
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of podcasts that goes to the validation split; never one podcast in both."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Changes which podcasts those are."""


class PodcastBuild(SpecModel):
    """Transcripts to excerpts to pictures to training samples."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {
            # Builds that were made before `batchSize` lost its default have a 1 there.
            "rule": "self.images.provider != 'bedrock' || ("
            f"{untouched(Images, 'self.images', 'width', 'steps', 'guidanceScale', 'offload', 'compile')}"
            " && (!has(self.images.batchSize) || self.images.batchSize == 1))",
            "message": "width, steps, guidanceScale, batchSize, offload and compile are for diffusers; "
            "leave them out with bedrock",
            "fieldPath": ".images",
        },
    )
    source: Source
    """The transcripts."""
    extraction: Extraction = Field(default_factory=Extraction)
    """How excerpts and scenes are found."""
    images: Images = Field(default_factory=Images)
    """How scenes are drawn."""
    split: Split = Field(default_factory=Split)
    """Training and validation."""


PICTURE_MARGIN_PERCENT = 10
"""Excerpts looked for above the target where pictures are drawn: some pictures are filtered, some excerpts doubled."""


class PodcastBuildSpec(DatasetBuildSpec):
    podcast: PodcastBuild
    """Transcripts to excerpts to pictures to training samples."""

    @property
    def extraction_usd(self) -> float | None:
        """Dollars that extraction may take: all of the budget, unless pictures are paid for as well."""
        usd = self.budget.usd
        return (
            usd
            if usd is None or self.podcast.images.provider != "bedrock"
            else usd * self.podcast.extraction.budget_share
        )

    def excerpts_wanted(self) -> int | None:
        """Excerpts that make the target, with a margin where pictures are drawn; None without a target."""
        if self.target.samples is None:
            return None
        percent = 100 if self.podcast.images.provider == "none" else 100 + PICTURE_MARGIN_PERCENT
        return -(-self.target.samples * percent // 100)
