"""Words, CIDEr-D and ROUGE-L of narration without Java: the published figures to nine digits, the original's words."""

from __future__ import annotations

import gzip
import json
import math
import random
import re
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.stanford_tokenizer import absent, original_tokens

from fabula_workloads.recipes.audio_description.scoring.cider import Cider, DocumentFrequencies
from fabula_workloads.recipes.audio_description.scoring.ptb import tokens
from fabula_workloads.recipes.audio_description.scoring.rouge import common_words, rouge_l
from fabula_workloads.recipes.audio_description.scoring.sentences import words_of

REFERENCES = (
    "Inside the flat, Tony switches on the light.", "Mark and Margo and Inspector Hubbard stand facing him.",
    "He quickly opens the door.", "A detective stands outside.", "Tony slowly closes the door again.",
    "Distressed, Margo turns away.",
    "Tony shrugs, looks at the drinks on the sideboard, then walks calmly to the desk and picks up a bottle of whisky.",
    "He puts the key on the desk.", "Taking a glass from the sideboard, he pours himself a large drink.",
)  # fmt: skip
PREDICTIONS = (
    "Tony stands.", "They stand facing him.", "He stand.", "A man stands.", "Tony closes the door.",
    "Margo turns away.", "Tony walks around.", "He walks towards the desk.", "He holds a book.",
)  # fmt: skip
EPISODES = Path(__file__).parents[4] / "shared" / "data" / "podcasts" / "episodeLevelData.jsonl.gz"
needs_the_original = pytest.mark.skipif(absent() is not None, reason=absent() or "")


def cider_of(predictions: tuple[str, ...], references: tuple[str, ...]) -> float:
    meant = [tokens(text) for text in references]
    scorer = Cider(DocumentFrequencies.of(meant))
    pairs = zip(predictions, meant, strict=True)
    return 100 * sum(scorer.score(scorer.vectors(tokens(a)), scorer.vectors(b)) for a, b in pairs) / len(meant)


def test_the_published_figures_to_nine_digits() -> None:
    assert cider_of(PREDICTIONS, REFERENCES) == pytest.approx(156.8706103871764, abs=1e-9)
    rouge = [rouge_l(tokens(a), tokens(b)) for a, b in zip(PREDICTIONS, REFERENCES, strict=True)]
    assert 100 * sum(rouge) / len(rouge) == pytest.approx(43.30655620843231, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("He's holding Sheldon's \"best-friend\" mug (blue) -- it isn't hers...",
         "he 's holding sheldon 's best-friend mug -lrb- blue -rrb- it is n't hers"),
        ("Rachel, Monica & Joey: 3 o'clock; $5.", "rachel monica & joey 3 o'clock $ 5"),
        ("", ""), ("a\nb", "a b"), ("He cannot go, 'tis late", "he can not go 't is late"),
        ("Mr. Smith of Acme Inc. I. The end", "mr. smith of acme inc. i the end"),
    ],
)  # fmt: skip
def test_words_are_those_of_the_published_tokenizer(text: str, words: str) -> None:
    assert tokens(text) == words.split()


def test_the_mended_profile_leaves_brackets_out() -> None:
    assert words_of("a (blue) mug", "paper-v1") == ["a", "-lrb-", "blue", "-rrb-", "mug"]
    assert words_of("a (blue) mug", "v2") == ["a", "blue", "mug"]


PIECES = """
    the a I he she Mr Mr. Dr. U.S. o'clock don't can't it's he'll dogs' John's well-known twenty-one 5 12 3.5 1,000
    12:30 $5 5% 1/2 22nd 1990s '90s e.g. i.e. etc. a.m. No. St. J. cannot gonna 'tis O'Brien naïve café R&D and/or --
    - — – … ... . , ; : ! ? ( ) [ ] " ' “ ” ‘ ’ & * / # @ _ e-mail x-ray A. In yes. Inc. Jan. Ph.D. y'all ma'am sofa.
"""
MARKS = "abIzTn'sdt.-,:;!?\"()/&$%#@_ 0123459 ’“”—`*+=<>[]{}~^|\\"
SPOKEN = st.lists(st.one_of(st.sampled_from(PIECES.split()), st.just(" ")), min_size=1, max_size=24)


@needs_the_original
def test_any_captions_have_the_original_s_words(tmp_path: Path) -> None:
    """10,000 generated ones, and 5,000 rows of any marks and letters."""
    dice = random.Random(20)
    pieces = PIECES.split()
    lines = [" ".join(dice.choices(pieces, k=dice.randint(1, 12))) + dice.choice(".!?,… ") for _ in range(10_000)]
    lines += ["".join(dice.choices(MARKS, k=dice.randint(1, 14))) for _ in range(5_000)]
    found = original_tokens(lines, tmp_path)
    assert [(line, tokens(line)) for line, words in zip(lines, found, strict=True) if tokens(line) != words] == []


@needs_the_original
@pytest.mark.skipif(not EPISODES.is_file(), reason="the real episodes are not here")
def test_real_speech_has_the_original_s_words(tmp_path: Path) -> None:
    spoken: list[str] = []
    with gzip.open(EPISODES, "rt") as file:
        for line in file:
            texts = (value for value in json.loads(line).values() if isinstance(value, str) and len(value) > 60)
            spoken += [part for text in texts for part in re.split(r"(?<=[.!?])\s+", " ".join(text.split())) if part]
    assert len(spoken) > 50_000
    found = original_tokens(spoken, tmp_path)
    wrong = [(line, words, tokens(line)) for line, words in zip(spoken, found, strict=True) if tokens(line) != words]
    assert wrong == []


@given(SPOKEN)
def test_what_is_read_from_memory_is_what_is_read_anew(parts: list[str]) -> None:
    text = "".join(parts)
    assert tokens(text) == tokens(text)
    assert all(word and " " not in word for word in tokens(text))


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=7)


@given(WORDS, WORDS)
def test_common_words_are_the_longest_common_sequence(one: list[str], other: list[str]) -> None:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, j in product(range(len(one)), range(len(other))):
        table[i + 1][j + 1] = table[i][j] + 1 if one[i] == other[j] else max(table[i][j + 1], table[i + 1][j])
    assert common_words(one, other) == table[-1][-1]


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6))
def test_cider_is_what_its_formula_says(pairs: list[tuple[list[str], list[str]]]) -> None:
    references = [reference for _, reference in pairs]
    scorer = Cider(DocumentFrequencies.of(references))

    def groups(words: list[str], order: int) -> Counter[tuple[str, ...]]:
        return Counter(tuple(words[at : at + order]) for at in range(len(words) - order + 1))

    for said, meant in pairs:
        total = 0.0
        for order in range(1, 5):
            df = Counter(group for reference in references for group in set(groups(reference, order)))
            weigh = {g: math.log(len(references)) - math.log(max(1, df[g])) for g in [*groups(said, order), *df]}
            h = {g: n * weigh[g] for g, n in groups(said, order).items()}
            r = {g: n * weigh[g] for g, n in groups(meant, order).items()}
            alike = sum(min(h[g], r[g]) * r[g] for g in h.keys() & r.keys())
            norms = math.sqrt(sum(x * x for x in h.values())) * math.sqrt(sum(x * x for x in r.values()))
            total += alike / norms if norms else alike
        apart = max(0, len(said) - 1) - max(0, len(meant) - 1)
        expected = 10 * math.exp(-(apart**2) / 72) * total / 4
        assert scorer.score(scorer.vectors(said), scorer.vectors(meant)) == pytest.approx(expected, abs=1e-9)


@given(st.lists(WORDS, max_size=8), st.integers(0, 8))
def test_frequencies_of_shards_are_those_of_the_whole(references: list[list[str]], cut: int) -> None:
    whole = DocumentFrequencies.of(references)
    joined = DocumentFrequencies.of(references[:cut]) | DocumentFrequencies.of(references[cut:])
    assert (joined.documents, dict(joined.containing)) == (whole.documents, dict(whole.containing))


def test_an_empty_sentence_is_one_empty_word() -> None:
    assert rouge_l([], ["a"]) == 0
    assert rouge_l([], []) == 1
