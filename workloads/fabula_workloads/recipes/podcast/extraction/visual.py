"""How visual a text is: words that a picture could show against words of thought. A word list, and no model.

It measures vocabulary and nothing more: it cannot tell a described kitchen from a kitchen in a figure of speech.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from importlib.resources import files

_WORDS = re.compile(r"[a-z]+(?:'[a-z]+)?")
_ABSTRACT = "abstract"
_REPEATS = 3
"""A lemma counts this often and no more, so that one word said all the time does not make a text visual."""


@cache
def lexicon() -> dict[str, tuple[str, bool]]:
    """Word form to (lemma, whether it is visual). Where a lemma is listed as both, it is visual."""
    text = files(__package__).joinpath("visual_words.txt").read_text(encoding="utf-8")
    forms: dict[str, tuple[str, bool]] = {}
    visual = False
    abstract: list[str] = []
    for line in text.splitlines():
        if line.startswith("["):
            visual = line != f"[{_ABSTRACT}]"
        elif line and not line.startswith("#"):
            if visual:
                forms |= {form: (lemma, True) for lemma in line.split() for form in inflections(lemma)}
            else:
                abstract += line.split()
    return {form: (lemma, False) for lemma in abstract for form in inflections(lemma)} | forms


def inflections(lemma: str) -> set[str]:
    """A lemma with its regular plural, third person, past and -ing forms."""
    forms = {lemma, lemma + "s", lemma + "es", lemma + "ed", lemma + "ing"}
    if lemma.endswith("e"):
        forms |= {lemma + "d", lemma[:-1] + "ing"}
    if lemma.endswith("y"):
        forms |= {lemma[:-1] + "ies", lemma[:-1] + "ied"}
    if re.fullmatch(r"[^aeiou]*[aeiou][bdgklmnprt]", lemma):
        forms |= {lemma + lemma[-1] + "ed", lemma + lemma[-1] + "ing"}
    return forms


def visual_lemmas(text: str) -> Counter[str]:
    """The visual lemmas of a text, with how often each occurs."""
    known = lexicon()
    return Counter(known[word][0] for word in _WORDS.findall(text.lower()) if known.get(word, ("", False))[1])


def num_abstract(text: str) -> int:
    """How many words of thought a text has."""
    known = lexicon()
    return sum(1 for word in _WORDS.findall(text.lower()) if word in known and not known[word][1])


def num_known(text: str) -> int:
    """How many words of a text the list has, of either sort. It is an English list."""
    known = lexicon()
    return sum(1 for word in _WORDS.findall(text.lower()) if word in known)


def weight(lemmas: Counter[str], abstract: int) -> int:
    """Visual words, each lemma at most three times, less the words of thought."""
    return sum(min(count, _REPEATS) for count in lemmas.values()) - abstract
