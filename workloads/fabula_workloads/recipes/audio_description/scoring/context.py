"""R@k/N and CRITIC of an evaluation: metrics for which a film's clips belong together."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from fabula_api.eval_run import EvalRunSpec
from fabula_api.recipes.audio_description.measures import CRITIC, CRITIC_METRIC, NEIGHBOURS
from fabula_api.recipes.audio_description.tell import AudioDescriptionEvalSpec
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.per_answer import PerAnswer
from fabula_workloads.metrics.records import Key
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.recipes.audio_description.scoring.bert_score import BertScorer, f1
from fabula_workloads.recipes.audio_description.scoring.coreference import FastCoref
from fabula_workloads.recipes.audio_description.scoring.critic import Coreference, Line, agreement
from fabula_workloads.recipes.audio_description.scoring.neighbours import Windows, by_answer
from fabula_workloads.recipes.audio_description.scoring.titles import cast_of, title_of
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid

Clips = list[tuple[NarrationEvaluationSample, Key, str]]
"""A film's samples in time order, with an arm's answer to each; one that could not be given is an empty sentence."""


def films(given: Materials, of: Callable[[NarrationEvaluationSample], str]) -> list[Clips]:
    """The answers of each arm and seed by film."""
    groups: dict[tuple[str, int, str], Clips] = {}
    for answer in given.answers:
        sample = given.samples[answer.sample]
        if isinstance(sample, NarrationEvaluationSample):
            place = (answer.arm, answer.seed, of(sample))
            groups.setdefault(place, []).append((sample, answer.key, answer.text or ""))
    return [sorted(clips, key=lambda clip: (clip[0].film, clip[0].start, clip[0].id)) for clips in groups.values()]


def neighbours(given: Materials) -> PerAnswer:
    """R@k/N of each answer: the share of its windows in which its own reference is among the k most like it."""
    spec = given.spec
    if not isinstance(spec, AudioDescriptionEvalSpec):
        raise ConfigInvalid(f"{NEIGHBOURS} belongs to an EvalRun of audio-description")
    asked = spec.audio_description.neighbours
    folder, name = given.model(asked.model, "neighboursModel")
    try:
        model = BertScorer(folder, asked.layer)
    except (OSError, ValueError) as error:
        raise InputInvalid(f"audioDescription.neighbours.model: {name} gives no vectors: {error}") from error
    figures: dict[tuple[str, Key], float | None] = {}
    for clips in films(given, lambda sample: sample.film):
        said = model.vectors([text for _, _, text in clips], given.progress)
        meant = model.vectors([sample.reference for sample, _, _ in clips], given.progress)

        similarity = _remembered(said, meant)
        for profile in given.profiles:
            which: Windows = "published" if profile == "paper-v1" else asked.windows
            shares = by_answer(len(clips), similarity, asked.k, asked.clips, which)
            figures |= {(profile, key): share for (_, key, _), share in zip(clips, shares, strict=True)}
    return PerAnswer(NEIGHBOURS, figures)


def _remembered(said: list[tuple[Any, Any]], meant: list[tuple[Any, Any]]) -> Callable[[int, int], float]:
    """How alike an answer and a reference are; each pair, which is in two windows, is compared once."""
    return cache(lambda answer, reference: f1(said[answer], meant[reference]))


def critic(given: Materials) -> PerAnswer:
    """CRITIC of each answer whose reference is about somebody: by the judges that have its rubric, else by F-COREF."""
    spec = given.spec
    judges = (
        [judge.name for judge in spec.judges if judge.rubric == CRITIC.name] if isinstance(spec, EvalRunSpec) else []
    )
    if not judges:
        return critic_by(given, FastCoref())
    points = given.points.get(CRITIC.name, {})
    figures: dict[tuple[str, Key], float | None] = {
        (profile, answer.key): points.get(answer.arm, {}).get(answer.sample)
        for profile in given.profiles
        for answer in given.answers
    }
    return PerAnswer(CRITIC_METRIC, figures, label=f"whom sentences are about says {' and '.join(judges)}")


def critic_by(given: Materials, coreference: Coreference) -> PerAnswer:
    """The same by any resolver of mentions."""
    figures: dict[tuple[str, Key], float | None] = {}
    for clips in films(given, title_of):
        given.progress()
        cast = cast_of([sample for sample, _, _ in clips])
        lines = [Line(sample.id, sample.reference, text) for sample, _, text in clips]
        overlaps = agreement(lines, cast, coreference)
        for profile in given.profiles:
            figures |= {(profile, key): overlaps[sample.id] for sample, key, _ in clips}
    return PerAnswer(CRITIC_METRIC, figures)
