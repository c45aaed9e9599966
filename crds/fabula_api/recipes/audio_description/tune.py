"""What a FineTuneRun of the recipe `audio-description` has beside the fields of every run."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fabula_api.base import Rule, SpecModel
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.shared_spec import ArtifactSource

FEATURE_WIDTH = 768
"""Of the published features: CLIP ViT-L/14's, and the Q-Former's of VideoLLaMA."""
TIMES = {"perceiver": 58, "qformer": 32}
"""Places in time that the published mappings know; more frames get more."""


class Mapping(SpecModel):
    """From features to as many vectors as the language model is given of a clip, or of a character."""

    kind: Literal["perceiver", "qformer"] = "perceiver"
    """`perceiver`: a linear layer, then an encoder over learned latents and one feature a frame; `qformer`: a Q-Former
    over several features a frame (BERT layers with cross-attention), then a linear layer."""
    latents: int = Field(30, ge=1, le=256)
    """Vectors by which the language model is told of a clip."""
    character_latents: int = Field(30, ge=1, le=256)
    """Vectors of a character. A `qformer` has as many as an exemplar has features."""
    depth: int = Field(2, ge=1, le=48)
    """Layers that make them."""
    heads: int | None = Field(None, ge=1, le=256)
    """Attention heads. Default: one for 128 units of a `perceiver`'s width, one for 64 of a `qformer`'s."""

    def weights(self, hidden: int, times: int, width: int = FEATURE_WIDTH) -> int:
        """Of both mappings, for a language model `hidden` wide, features of `width` and so many places in time."""
        into_language = width * hidden + hidden
        if self.kind == "perceiver":
            # A layer: attention 4 h2, MLP 8 h2, and 13 h of biases and norms.
            layers = self.depth * (12 * hidden**2 + 13 * hidden)
            each = into_language + 2 * hidden + times * hidden + layers
            return 2 * each + (self.latents + self.character_latents) * hidden
        # A layer attends twice, 4 w2 each, and has an MLP of 8 w2; 19 w of biases and norms. Two w norm the queries.
        layers = self.depth * (16 * width**2 + 19 * width)
        return 2 * into_language + layers + (self.latents + times + 2) * width


class AudioDescriptionTune(SpecModel):
    """The narrator: what is learned beside the language model, and how it is told of clips and characters."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {
            "rule": "self.objective == 'narration' || !has(self.pretrained)",
            "message": "pretrained goes with objective narration; the objective text makes such an adapter",
            "fieldPath": ".pretrained",
        },
        {
            "rule": "self.objective == 'narration' || self.languageModel != 'frozen'",
            "message": "the objective text trains the language model; set languageModel to lora or lora-and-norms",
            "fieldPath": ".languageModel",
        },
    )
    objective: Literal["narration", "text"] = "narration"
    """`narration` learns to describe clips; `text` learns the words of descriptions alone, without pictures, and makes
    an adapter that a next run takes as `pretrained`."""
    pretrained: ArtifactSource | None = None
    """Adapter of a run with objective `text`, which the language model begins with."""
    language_model: Literal["frozen", "lora", "lora-and-norms"] = "frozen"
    """What of the language model is trained: nothing, as published, its low-rank update, or its norms too."""
    mapping: Mapping = Field(default_factory=Mapping)
    """From features to vectors of the language model."""
    frames: int = Field(8, ge=1, le=256)
    """Frames that are taken of a clip."""
    frame_selection: Literal["segments", "linspace"] = "segments"
    """How, in training: `segments` cuts the clip into as many parts and draws a frame of each; `linspace` takes evenly
    spaced ones, as evaluation does."""
    previous_clip: Literal["before", "apart", "none"] = "before"
    """What the narrator sees of the clip before: its frames in front of the clip's own, mapped together; mapped apart,
    with vectors of its own; or nothing."""
    character_prompt: Literal["role-actor-face", "role-face", "role-actor", "role"] = "role-actor-face"
    """What is said of a character: role, actor and exemplar, or fewer of them."""
    first_names: bool = False
    """Of a role only its first name, or what follows a title with a dot."""
    prompt_profile: Literal["mad", "clips"] = "mad"
    """The published prompts differ by data: `mad`, and `clips` for CMD-AD and TV-AD, which uses short names, closes the
    prompt with a token of its own, and knows words that are no names."""
    special_tokens: Literal["placeholders", "markers"] = "placeholders"
    """New tokens: one for each kind of vector, or a mark before and after them as well."""
    loss: Literal["per-sample", "paper-v1"] = "per-sample"
    """The likelihood of the description, and how much likelier the one before it is, if it is (a hinge without margin):
    taken of each sample, or as published of means over a pass."""
    contrast: bool = True
    """Whether the loss has that second part."""
    max_answer_tokens: int = Field(51, ge=0, le=4096)
    """Samples of which this description or the one before it has more are left out and counted; 0 takes all."""

    @property
    def takes_pretrained(self) -> bool:
        """Whether another run's adapter is read."""
        return self.pretrained is not None


class AudioDescriptionTuneSpec(FineTuneRunSpec):
    audio_description: AudioDescriptionTune = Field(default_factory=AudioDescriptionTune)
    """The narrator: what is learned beside the language model, and how it is told of clips and characters."""

    @property
    def learns_language(self) -> bool:
        return self.audio_description.language_model != "frozen"

    def weights_beside(self, hidden: int) -> int:
        tune = self.audio_description
        if tune.objective == "text":
            return 0
        seen = tune.frames * (2 if tune.previous_clip == "before" else 1)
        return tune.mapping.weights(hidden, max(seen, TIMES[tune.mapping.kind]))
