"""CIDEr-D: how alike two sentences are in their word groups, each weighed by how few references have it.

Vedantam et al., CIDEr: Consensus-based Image Description Evaluation, 2015; the variant D of the published evaluations,
with one reference a sentence.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Words = Sequence[str]
ORDERS = 4
"""Groups of one word to four."""
SIGMA = 6.0
"""Width of the penalty on a difference in length."""
SCALE = 10.0
Group = str | tuple[str, ...]
"""A word, or several in a row."""


@dataclass(frozen=True, slots=True)
class DocumentFrequencies:
    """In how many references each word group occurs, over all samples of a data set, whatever shards read them."""

    documents: int
    containing: Mapping[Group, int]

    @classmethod
    def of(cls, references: Iterable[Words]) -> DocumentFrequencies:
        """Those of these references."""
        containing: Counter[Group] = Counter()
        documents = 0
        for words in references:
            documents += 1
            for groups in _by_order(words):
                containing.update(set(groups))
        return cls(documents, containing)

    def __or__(self, other: DocumentFrequencies) -> DocumentFrequencies:
        """Those of both."""
        return DocumentFrequencies(
            self.documents + other.documents, Counter(self.containing) + Counter(other.containing)
        )


@dataclass(frozen=True, slots=True)
class Vectors:
    """A sentence as weights of its word groups."""

    words: int
    orders: Sequence[tuple[Mapping[Group, float], float]]
    """For each order the weights, and the length of their vector."""


class Cider:
    """Scores sentences by the document frequencies of a data set's references."""

    def __init__(self, frequencies: DocumentFrequencies) -> None:
        self._usual = math.log(frequencies.documents) if frequencies.documents else 0.0
        # Of most groups, that are in one reference or none, the weight is the usual one.
        self._weights = {
            group: self._usual - math.log(count) for group, count in frequencies.containing.items() if count > 1
        }

    def vectors(self, words: Words) -> Vectors:
        """A sentence, weighed. References are weighed once for all arms."""
        weight_of, usual = self._weights.get, self._usual
        orders = []
        for groups in _by_order(words):
            vector = {group: weight_of(group, usual) for group in groups}
            if len(vector) < len(groups):  # some stand there twice
                for group, times in Counter(groups).items():
                    vector[group] = times * weight_of(group, usual)
            orders.append((vector, math.hypot(*vector.values())))
        return Vectors(len(words), orders)

    def score(self, prediction: Vectors, reference: Vectors) -> float:
        """From 0 to 10, as one of the published mean is made of; figures show 100 times it."""
        total = 0.0
        for (said, norm_said), (meant, norm_meant) in zip(prediction.orders, reference.orders, strict=True):
            if shared := said.keys() & meant.keys():
                alike = sum([min(said[group], meant[group]) * meant[group] for group in shared])
                total += alike / (norm_said * norm_meant) if norm_said and norm_meant else alike
        # The published code takes a sentence's length for the number of its pairs of words.
        apart = max(0, prediction.words - 1) - max(0, reference.words - 1)
        return SCALE * math.exp(-(apart**2) / (2 * SIGMA**2)) * total / ORDERS


def _by_order(words: Words) -> tuple[Sequence[Group], ...]:
    """The groups of one word, of two, three and four."""
    second, third, fourth = words[1:], words[2:], words[3:]
    return (
        words,
        list(zip(words, second, strict=False)),
        list(zip(words, second, third, strict=False)),
        list(zip(words, second, third, fourth, strict=False)),
    )
