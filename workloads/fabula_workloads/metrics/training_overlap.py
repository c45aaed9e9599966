"""How much of an answer was learned by heart: runs of its words that stand in the texts that the model was tuned on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from fabula_api.metrics.records.training_overlap import METRIC
from fabula_workloads.metrics.answer_form import AnswerForm
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.ngram_index import WORDS, NgramIndex
from fabula_workloads.metrics.records import GivenAnswer, Key, Tried
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.text.tokens import tokens_of


@dataclass(frozen=True, slots=True)
class Overlap:
    """Figures by answer, and the longest run of each arm."""

    values: dict[Key, float]
    remarks: Mapping[str, str]
    tests: list[Tried] = field(default_factory=list)
    label: str | None = None

    @property
    def metric(self) -> str:
        return METRIC.name

    def value(self, profile: str, key: Key) -> float | None:
        """The figure of one answer."""
        return self.values.get(key)


def training_overlap(given: Materials) -> Overlap:
    """The metric `training-overlap` of an evaluation. Raises ConfigInvalid where no training set is given."""
    if given.training_texts is None:
        raise ConfigInvalid("the metric training-overlap needs trainingSet, the dataset that the arms were tuned on")
    return measure_overlap(given.training_texts(), given.answers, given.form)


def measure_overlap(texts: Iterable[str], answers: Sequence[GivenAnswer], form: AnswerForm) -> Overlap:
    """Share of each answer's word 8-grams that stand in `texts`, within passages on both sides."""
    corpus = [passage for text in texts for passage in form.read(text, "v2").passages or [text]]
    index = NgramIndex(corpus)
    values: dict[Key, float] = {}
    longest: dict[str, int] = {}
    for answer in answers:
        if not answer.text:
            continue
        hits = [index.contains(tokens_of(passage)) for passage in form.read(answer.text, "v2").passages]
        if total := sum(map(len, hits)):
            values[answer.key] = sum(int(passage.sum()) for passage in hits) / total
            runs = [len(list(run)) for passage in hits for known, run in groupby(passage.tolist()) if known]
            words = max(runs) + WORDS - 1 if runs else 0
            longest[answer.arm] = max(longest.get(answer.arm, 0), words)
    remarks = {arm: f"longest run {words} words" if words else "no run of words" for arm, words in longest.items()}
    return Overlap(values, remarks, [_tried(index, corpus)])


def _tried(index: NgramIndex, corpus: Sequence[str]) -> Tried:
    """A text of the training set is found whole, and the same words the other way round are not."""
    text = max((tokens_of(passage) for passage in corpus), key=len, default=[])
    if len(text) < WORDS:
        return Tried(METRIC.name, "v2", "finds a text that was learned", False, f"no training text has {WORDS} words")
    forward, backward = (float(index.contains(words).mean()) for words in (text, text[::-1]))
    message = f"{forward:.0%} of a training text and {backward:.0%} of its words in reverse stand in the training set"
    return Tried(METRIC.name, "v2", "finds a text that was learned", forward == 1 and backward < 0.5, message)
