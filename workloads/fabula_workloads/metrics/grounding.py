"""CLIP over a whole evaluation: each picture and each passage is encoded once, however many arms there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from fabula_api.metrics.records.clip_score import METRIC
from fabula_workloads.metrics.answer_form import PLAIN, AnswerForm
from fabula_workloads.metrics.answers import ClipFigures
from fabula_workloads.metrics.clip_score import Vectors, best_passages, ground, paper_v1_score
from fabula_workloads.metrics.clip_windows import windows
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.records import GivenAnswer, Key
from fabula_workloads.metrics.self_tests import PROBES, probe
from fabula_workloads.models.stored_files import DamagedFile
from fabula_workloads.runtime.failures import InputInvalid


class Encoder(Protocol):
    """What the metric needs of a CLIP model; `clip_model.ClipModel` is the real one."""

    @property
    def random_weights(self) -> bool: ...
    @property
    def window_tokens(self) -> int: ...
    def num_tokens(self, text: str) -> int: ...
    def encode_passages(self, passages: Sequence[str]) -> Vectors: ...
    def encode_pictures(self, pictures: Iterable[Path]) -> Vectors: ...
    def encode_pictures_paper_v1(self, pictures: Iterable[Path]) -> Vectors: ...
    def encode_text_paper_v1(self, text: str) -> Vectors: ...


def clip_score(given: Materials) -> ClipFigures:
    """The metric `clip-score` of an evaluation. Raises InputInvalid where its model is none."""
    folder, name = given.model(given.spec.clip_model, "clipModel")
    from fabula_workloads.metrics.clip_model import ClipModel

    try:
        model = ClipModel(folder)
    except (OSError, ValueError, ImportError, DamagedFile) as error:
        raise InputInvalid(f"clipModel: {name} is no CLIP or SigLIP model that can be opened: {error}") from error
    return measure_grounding(model, name, given.profiles, given.answers, given.pictures, given.progress, given.form)


def measure_grounding(
    encoder: Encoder,
    name: str,
    profiles: Sequence[str],
    answers: Sequence[GivenAnswer],
    pictures: Mapping[str, Sequence[Path]],
    progress: Callable[[], None] = lambda: None,
    form: AnswerForm = PLAIN,
) -> ClipFigures:
    """CLIP figures of all answers under the profiles, with the metric's self-tests on these pictures.

    `pictures` are the files of each sample; `progress` is called between batches of work; `form` says what of an answer
    is said.
    """
    figures = ClipFigures(name, encoder.random_weights)
    if "v2" in profiles:
        seen = _by_sample(encoder.encode_pictures, pictures)
        figures.v2.update(ground(_passages(encoder, form, answers, progress), seen))
        shown = next(iter(seen.values()))
        first, second = (float(best_passages(shown, _encode(encoder, form, text)).mean()) for text in PROBES)
        figures.tests.append(probe(METRIC, "v2", first, second))
    if "paper-v1" in profiles:
        squashed = _by_sample(encoder.encode_pictures_paper_v1, pictures)
        for answer in answers:
            progress()
            if answer.text:
                text = encoder.encode_text_paper_v1(answer.text)
                figures.paper_v1[answer.key] = paper_v1_score(squashed[answer.sample], text)
        vectors = [encoder.encode_text_paper_v1(text) for text in PROBES]
        # Compared before the floor at zero, which alone could make two figures equal.
        first, second = (float((100 * next(iter(squashed.values())) @ vector.reshape(-1)).mean()) for vector in vectors)
        figures.tests.append(probe(METRIC, "paper-v1", first, second))
    return figures


def _by_sample(
    encode: Callable[[Iterable[Path]], Vectors], pictures: Mapping[str, Sequence[Path]]
) -> dict[str, Vectors]:
    flat = encode([path for paths in pictures.values() for path in paths])
    by_sample, at = {}, 0
    for sample, paths in pictures.items():
        by_sample[sample] = flat[at : at + len(paths)]
        at += len(paths)
    return by_sample


def _passages(
    encoder: Encoder, form: AnswerForm, answers: Sequence[GivenAnswer], progress: Callable[[], None]
) -> dict[Key, Vectors]:
    """Vectors of the passages of every answer that can be read."""
    vectors: dict[Key, Vectors] = {}
    for answer in answers:
        progress()
        if answer.text and (encoded := _encode(encoder, form, answer.text)).size:
            vectors[answer.key] = encoded
    return vectors


def _encode(encoder: Encoder, form: AnswerForm, text: str) -> Vectors:
    passages = form.read(text, "v2").passages
    return encoder.encode_passages(windows(passages, encoder.num_tokens, encoder.window_tokens))
