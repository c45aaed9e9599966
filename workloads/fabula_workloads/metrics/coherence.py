"""Does each turn follow from the one before it? Cosines of neighbouring passages by a sentence-embedding model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import Protocol

from fabula_api.metrics.records.coherence import METRIC
from fabula_workloads.metrics.answer_form import AnswerForm
from fabula_workloads.metrics.clip_score import Vectors, other_samples
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.records import GivenAnswer, Key, Tried
from fabula_workloads.metrics.self_tests import PROBES, probe
from fabula_workloads.models.stored_files import DamagedFile
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid


class Encoder(Protocol):
    """What the metric needs of a model; `embedding_model.EmbeddingModel` is the real one."""

    random_weights: bool

    def encode(self, texts: Sequence[str], progress: Callable[[], None] = ...) -> Vectors: ...


@dataclass(frozen=True, slots=True)
class Coherence:
    """Figures by answer, and those of passages that do not belong together."""

    random_weights: bool
    values: dict[Key, float]
    remarks: Mapping[str, str]
    tests: list[Tried] = field(default_factory=list)

    @property
    def metric(self) -> str:
        return METRIC.name

    @property
    def label(self) -> str | None:
        return "random weights" if self.random_weights else None

    def value(self, profile: str, key: Key) -> float | None:
        """The figure of one answer."""
        return self.values.get(key)


def coherence(given: Materials) -> Coherence:
    """The metric `coherence` of an evaluation. Raises ConfigInvalid where no model is given, InputInvalid where it is
    none."""
    source = given.spec.embedding_model
    if source is None:
        raise ConfigInvalid("the metric coherence needs embeddingModel, a sentence-embedding model")
    folder, name = given.model(source, "embeddingModel")
    from fabula_workloads.metrics.embedding_model import EmbeddingModel

    try:
        model = EmbeddingModel(folder)
    except (OSError, ValueError, DamagedFile) as error:
        raise InputInvalid(f"embeddingModel: {name} is no sentence-embedding model: {error}") from error
    return measure_coherence(model, given.answers, given.form, given.progress)


def measure_coherence(
    encoder: Encoder, answers: Sequence[GivenAnswer], form: AnswerForm, progress: Callable[[], None] = lambda: None
) -> Coherence:
    """Mean cosine of each passage with the next one, of every answer that has two.

    The control is the same of passages of two samples' answers, which have nothing to do with each other.
    """
    texts = {answer.key: list(form.read(answer.text, "v2").passages) for answer in answers if answer.text}
    texts = {key: passages for key, passages in texts.items() if len(passages) > 1}
    probes = [passages for text in PROBES if len(passages := list(form.read(text, "v2").passages)) > 1]
    flat = [passage for passages in (*texts.values(), *probes) for passage in passages]
    rows = iter(encoder.encode(flat, progress)) if flat else iter(())
    vectors = {key: [next(rows) for _ in passages] for key, passages in texts.items()}
    tried = [[next(rows) for _ in passages] for passages in probes]
    values = {key: _neighbours(passages) for key, passages in vectors.items()}
    tests = []
    if len(tried) == len(PROBES):
        tests.append(probe(METRIC, "v2", *map(_neighbours, tried)))
    return Coherence(encoder.random_weights, values, _controls(vectors), tests)


def _neighbours(passages: Sequence[Vectors]) -> float:
    return fmean(float(first @ second) for first, second in pairwise(passages))


def _controls(vectors: Mapping[Key, Sequence[Vectors]]) -> dict[str, str]:
    """For each arm, in a sentence, the mean cosine of passages at one place in answers to two samples."""
    partner = other_samples(sorted({sample for _, sample, _ in vectors}))
    cosines_of: dict[str, list[float]] = {}
    for (arm, sample, seed), passages in vectors.items():
        other = vectors.get((arm, partner.get(sample, ""), seed))
        if other is not None:
            cosines_of.setdefault(arm, []).extend(float(a @ b) for a, b in zip(passages, other, strict=False))
    return {arm: f"{fmean(cosines):.2f} between turns of different samples" for arm, cosines in cosines_of.items()}
