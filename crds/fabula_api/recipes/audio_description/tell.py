"""What an EvalRun of the recipe `audio-description` has beside the fields of every evaluation."""

from __future__ import annotations

from pydantic import Field

from fabula_api.base import SpecModel
from fabula_api.eval_run import EvalRunSpec


class AudioDescriptionTell(SpecModel):
    """How descriptions are found: beam search, so `generation.temperature` and `topP` have no part in it."""

    beams: int = Field(5, ge=1, le=32)
    """Beams of the search; 1 takes the likeliest token each time."""
    repetition_penalty: float = Field(1.2, ge=1, le=5)
    """What a token that stands in the description already is made less likely by."""
    no_repeat_ngram: int = Field(3, ge=0, le=16)
    """No so many tokens in a row stand in a description twice; 0 lets them."""

    unit_seconds: float = Field(1, gt=0, le=3600)
    """Seconds of one unit of the annotations' times: 1, as MAD and CMD-AD have them; 0.3333 for TV-AD, which counts
    three frames a second. Subtitles and the words a minute go by it."""


class AudioDescriptionEvalSpec(EvalRunSpec):
    audio_description: AudioDescriptionTell
    """How descriptions are found."""
