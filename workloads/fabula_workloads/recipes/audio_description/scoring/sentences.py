"""CIDEr and ROUGE-L of an evaluation: each arm's sentence beside the one that a person spoke there."""

from __future__ import annotations

from functools import cache

from fabula_api.metrics import ProfileName
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.per_answer import PerAnswer, per_answer
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.audio_description.scoring.cider import Cider, DocumentFrequencies, Vectors
from fabula_workloads.recipes.audio_description.scoring.ptb import tokens
from fabula_workloads.recipes.audio_description.scoring.rouge import rouge_l

_BRACKETS = frozenset({"-lrb-", "-rrb-", "-lcb-", "-rcb-", "-lsb-", "-rsb-"})
SHOWN = 100.0
"""Figures are shown as published: times a hundred."""


def words_of(text: str, profile: ProfileName) -> list[str]:
    """The words of a sentence. The published list of punctuation misses brackets, which `v2` leaves out."""
    words = tokens(text)
    return words if profile == "paper-v1" else [word for word in words if word not in _BRACKETS]


def cider(given: Materials) -> PerAnswer:
    """100 x CIDEr-D of each answer; how rare words are is told by the references of all samples, each counted once."""

    @cache
    def scorer(profile: ProfileName) -> Cider:
        return Cider(DocumentFrequencies.of(words_of(sample.reference, profile) for sample in given.samples.values()))

    @cache
    def reference(sample: str, profile: ProfileName) -> Vectors:
        return scorer(profile).vectors(words_of(given.samples[sample].reference, profile))

    def measure(answer: GivenAnswer, profile: ProfileName) -> float:
        said = scorer(profile).vectors(words_of(answer.text or "", profile))
        return SHOWN * scorer(profile).score(said, reference(answer.sample, profile))

    return per_answer("audio-description/cider", given, measure)


def rouge(given: Materials) -> PerAnswer:
    """100 x ROUGE-L of each answer."""

    def measure(answer: GivenAnswer, profile: ProfileName) -> float:
        meant = words_of(given.samples[answer.sample].reference, profile)
        return SHOWN * rouge_l(words_of(answer.text or "", profile), meant)

    return per_answer("audio-description/rouge-l", given, measure)
