"""CRITIC: whether an answer is about the same characters as its reference, pronouns resolved over a whole film.

All sentences of a title are read as one text behind a list of its cast. A chain of mentions that holds exactly one name
of the cast stands for that character, and each sentence with a mention of it is about that character.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Span = tuple[int, int]
"""Characters of a text, from and up to."""
Chains = Sequence[Sequence[Span]]
"""Mentions that are of one and the same."""


class Coreference(Protocol):
    """Who finds chains: F-COREF, a language model, or whoever is asked instead."""

    def chains(self, text: str) -> Chains:
        """Those of a text."""


@dataclass(frozen=True, slots=True)
class Line:
    """A sample of a title: what a person said, and what an arm says."""

    sample: str
    reference: str
    prediction: str


def identities(sentences: Sequence[str], cast: Sequence[str], coreference: Coreference) -> list[frozenset[str]]:
    """For each sentence the characters whom it is about."""
    head = _cast_list(cast)
    text, places, at = head, list[Span](), len(head)
    for sentence in sentences:
        text += " " + sentence
        places.append((at + 1, at + 1 + len(sentence)))
        at = len(text)
    about: list[set[str]] = [set() for _ in sentences]
    names = set(cast)
    for chain in coreference.chains(text):
        said = {text[start:end] for start, end in chain} & names
        if len(said) != 1:
            continue
        (name,) = said
        for start, end in chain:
            for whom, (begin, stop) in zip(about, places, strict=True):
                if begin <= start and end <= stop:
                    whom.add(name)
    return [frozenset(whom) for whom in about]


def agreement(lines: Sequence[Line], cast: Sequence[str], coreference: Coreference) -> dict[str, float | None]:
    """By sample, how far its characters are those of the reference (intersection over union); None where the reference
    is about nobody."""
    meant = identities([line.reference for line in lines], cast, coreference)
    said = identities([line.prediction for line in lines], cast, coreference)
    return {
        line.sample: len(theirs & ours) / len(theirs | ours) if theirs else None
        for line, theirs, ours in zip(lines, meant, said, strict=True)
    }


def _cast_list(cast: Sequence[str]) -> str:
    *most, last = cast or ("",)
    return f"{', '.join(most)} and {last}." if most else f"{last}."
