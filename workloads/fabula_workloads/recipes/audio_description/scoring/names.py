"""Who an answer names: characters by the names that descriptions use, found as whole words."""

from __future__ import annotations

from fabula_api.metrics import ProfileName
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.per_answer import PerAnswer, per_answer
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.audio_description.annotations.names import named_in
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample


def names_of(sample: NarrationEvaluationSample) -> frozenset[str]:
    """Those that could be said of a clip: of everybody who may be seen there, and whom its reference names."""
    told = (character.short_name or character.role for character in sample.characters)
    return frozenset(name for name in (*told, *sample.named) if name)


def precision(given: Materials) -> PerAnswer:
    """Of the characters whom an answer names, the share whom the reference names; none where it names nobody."""

    def measure(answer: GivenAnswer, profile: ProfileName) -> float | None:
        said, meant = _both(given, answer)
        return len(said & meant) / len(said) if said else None

    return per_answer("audio-description/name-precision", given, measure)


def recall(given: Materials) -> PerAnswer:
    """Of the characters whom the reference names, the share whom the answer names; none where it names nobody."""

    def measure(answer: GivenAnswer, profile: ProfileName) -> float | None:
        said, meant = _both(given, answer)
        return len(said & meant) / len(meant) if meant else None

    return per_answer("audio-description/name-recall", given, measure)


def _both(given: Materials, answer: GivenAnswer) -> tuple[frozenset[str], frozenset[str]]:
    sample = given.samples[answer.sample]
    if not isinstance(sample, NarrationEvaluationSample):
        return frozenset(), frozenset()
    names = names_of(sample)
    return named_in(answer.text or "", names), named_in(sample.reference, names) | frozenset(sample.named)
