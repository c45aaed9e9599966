"""What an EvalRun of the recipe `audio-description` has beside the fields of every evaluation."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fabula_api.base import Rule, SpecModel
from fabula_api.eval_run import EvalRunSpec
from fabula_api.shared_spec import ModelSource


class Neighbours(SpecModel):
    """What R@k/N compares an answer with: the references of the clips around it."""

    cel: ClassVar[tuple[Rule, ...]] = ({"rule": "self.k < self.clips", "message": "k must be less than clips"},)
    k: int = Field(5, ge=1, le=1000)
    """Among how many of the references most like it an answer's own has to be."""
    clips: int = Field(16, ge=2, le=1000)
    """Clips of a window, the described one among them."""
    windows: Literal["all", "published"] = "all"
    """`published` leaves out the clips behind the last whole window, and films with fewer than `clips`."""
    model: ModelSource = Field(default_factory=lambda: ModelSource(name="FacebookAI/roberta-large"))
    """Model whose vectors tell how alike two sentences are (BERTScore)."""
    layer: int = Field(17, ge=1, le=256)
    """Its layer with the vectors."""


class AudioDescriptionTell(SpecModel):
    """How descriptions are found: beam search, so `generation.temperature` and `topP` have no part in it."""

    beams: int = Field(5, ge=1, le=32)
    """Beams of the search; 1 takes the likeliest token each time."""
    repetition_penalty: float = Field(1.2, ge=1, le=5)
    """What a token that stands in the description already is made less likely by."""
    no_repeat_ngram: int = Field(3, ge=0, le=16)
    """No so many tokens in a row stand in a description twice; 0 lets them."""
    neighbours: Neighbours = Field(default_factory=Neighbours)
    """How `audio-description/neighbours` compares."""
    unit_seconds: float = Field(1, gt=0, le=3600)
    """Seconds of one unit of the annotations' times: 1, as MAD and CMD-AD have them; 0.3333 for TV-AD, which counts
    three frames a second. Subtitles and the words a minute go by it."""


class AudioDescriptionEvalSpec(EvalRunSpec):
    audio_description: AudioDescriptionTell = Field(default_factory=AudioDescriptionTell)
    """How descriptions are found."""

    @property
    def asks_neighbours(self) -> bool:
        """Whether the model that compares sentences is read."""
        return "audio-description/neighbours" in self.metrics
