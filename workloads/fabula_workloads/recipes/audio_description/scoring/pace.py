"""Whether a sentence fits its gap: how fast it would have to be spoken."""

from __future__ import annotations

from fabula_api.metrics import ProfileName
from fabula_api.recipes.audio_description.tell import AudioDescriptionEvalSpec
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.per_answer import PerAnswer, per_answer
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.text.words import num_words

COMFORTABLE = 160.0
"""Words a minute that a listener follows with ease; guidelines of broadcasters have 150 to 180."""


def words_per_minute(text: str, seconds: float) -> float | None:
    """How fast the text is spoken in that time; None where there is no time."""
    return 60 * num_words(text) / seconds if seconds > 0 else None


def pace(given: Materials) -> PerAnswer:
    """Words a minute that each answer would take in its clip's time."""

    unit = given.spec.audio_description.unit_seconds if isinstance(given.spec, AudioDescriptionEvalSpec) else 1.0

    def measure(answer: GivenAnswer, profile: ProfileName) -> float | None:
        sample = given.samples[answer.sample]
        if not isinstance(sample, NarrationEvaluationSample):
            return None
        return words_per_minute(answer.text or "", unit * (sample.end - sample.start))

    return per_answer("audio-description/words-per-minute", given, measure)
