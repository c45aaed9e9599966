"""How often an answer says again what it has said: in the same four words, and in whole sentences."""

from __future__ import annotations

from itertools import islice

from fabula_workloads.metrics.reading import Reading
from fabula_workloads.text.sentences import sentences
from fabula_workloads.text.tokens import tokens_of

_NGRAM = 4
_SHORTEST_SENTENCE = 3
"""Words of a sentence that counts: people do say "Yeah." twice."""


def repetition(reading: Reading) -> float | None:
    """Share of word 4-grams that the answer has had before (seq-rep-4 of Welleck et al. 2020, over words). They do not
    cross passages. None where no passage has four words."""
    grams: list[tuple[str, ...]] = []
    for passage in reading.passages:
        tokens = tokens_of(passage)
        grams += zip(*(islice(tokens, start, None) for start in range(_NGRAM)), strict=False)
    return 1 - len(set(grams)) / len(grams) if grams else None


def repeated_sentences(reading: Reading) -> float | None:
    """Share of sentences of three words or more that the answer has had before, whoever says them."""
    bare = [tuple(tokens_of(sentence)) for passage in reading.passages for sentence in sentences(passage)]
    said = [sentence for sentence in bare if len(sentence) >= _SHORTEST_SENTENCE]
    return 1 - len(set(said)) / len(said) if said else None
