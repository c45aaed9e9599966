"""Metrics beyond the published ones: texts with the figures that they must get, worked out by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_api.asked import Asked, AskedWords
from fabula_api.metrics import METRICS
from fabula_api.recipes import asked_of
from fabula_workloads.metrics.coherence import measure_coherence
from fabula_workloads.metrics.diversity import hd_d
from fabula_workloads.metrics.ngram_index import NgramIndex
from fabula_workloads.metrics.profiles import measure
from fabula_workloads.metrics.reading import Reading
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.metrics.training_overlap import measure_overlap
from fabula_workloads.recipes.podcast.answers.form import DIALOGUE
from fabula_workloads.text.tokens import tokens_of

ASKED = Asked(words=AskedWords(min=6, max=8), avoid=["photo", "photos", "photo album"])


def figure(name: str, text: str, asked: Asked = ASKED) -> float | None:
    return measure(DIALOGUE.read(text, "v2"), "v2", (METRICS[name],), asked)[name]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("length-compliance", "Speaker 1: a b\nSpeaker 2: c", 0 + 1.0),  # labels are words: 7
        ("length-compliance", "Speaker 1: a b\nSpeaker 2: c d e", 0.0),
        ("length-compliance", "no labels at all in here", 1.0),
        ("picture-words", "Speaker 1: A photo, two Photos\nSpeaker 2: photograph", 2.0),
        ("picture-words", "Speaker 1: her photo album\nSpeaker 2: telephoto", 1.0),
        ("picture-free", "Speaker 1: her photo album\nSpeaker 2: no", 0.0),
        ("picture-free", "Speaker 1: a boat\nSpeaker 2: photographic", 1.0),
        ("repetition", "Speaker 1: a b c d e\nSpeaker 2: a b c d", 1 / 3),
        ("repetition", "Speaker 1: a b c\nSpeaker 2: d e f", None),
        ("repeated-sentences", "Speaker 1: We go now. Yes. We go now!\nSpeaker 2: Yes. you stay here", 1 / 3),
        ("repeated-sentences", "Speaker 1: Yes.\nSpeaker 2: Yes.", None),
        ("lexical-diversity", "Speaker 1: too short", None),
        (
            "readability",
            "Speaker 1: The harbour sleeps. It rains.\nSpeaker 2: Gulls complain loudly",
            8 / 3 + 25,
        ),
        ("readability", "Speaker 1: 港はまだ眠っています。\nSpeaker 2: はい", None),
    ],
)
def test_vectors(name: str, text: str, expected: float | None) -> None:
    found = figure(name, text)
    assert found == (None if expected is None else pytest.approx(expected))


def test_the_asked_length_is_the_recipes_unless_the_prompt_is_not() -> None:
    usual = asked_of("podcast", Asked(), own_prompt=False)
    assert usual.words == AskedWords(min=700, max=900)
    own = asked_of("podcast", Asked(), own_prompt=True)
    assert (own.words, own.avoid) == (None, usual.avoid)
    assert asked_of("podcast", ASKED, own_prompt=True) == ASKED
    assert figure("length-compliance", "Speaker 1: a", own) is None
    assert figure("picture-words", "Speaker 1: a photo", Asked()) is None


@given(st.lists(st.sampled_from("abcdefghij"), min_size=42, max_size=300))
def test_lexical_diversity_is_the_hypergeometric_expectation(words: list[str]) -> None:
    from scipy.stats import hypergeom

    counts = [words.count(word) for word in set(words)]
    expected = sum(1 - hypergeom.pmf(0, len(words), count, 42) for count in counts) / 42
    assert hd_d(Reading(" ".join(words), " ".join(words))) == pytest.approx(expected)


def test_lexical_diversity_does_not_fall_with_length_as_distinct_2_does() -> None:
    """The same process of 300 equally likely words, short and ten times as long."""
    dice = random.Random(1)
    vocabulary = [f"word{index}" for index in range(300)]
    short, long = ("Speaker 1: " + " ".join(dice.choices(vocabulary, k=size)) for size in (300, 3000))
    diversity = [figure("lexical-diversity", text) or 0 for text in (short, long)]
    assert diversity[0] == pytest.approx(diversity[1], abs=0.03)
    distinct = [figure("distinct-2", text) or 0 for text in (short, long)]
    assert distinct[0] - distinct[1] > 0.01


def test_runs_of_words_are_found_in_the_training_set_whatever_their_dress() -> None:
    learned = "the old lighthouse keeper counts the ships that pass him in the night"
    training = [f"Speaker 1: {learned}.", "Speaker 1: nothing of the kind is ever said here at all, not once"]
    answers = [
        GivenAnswer("tuned", "a", 0, "Speaker 1: The old LIGHTHOUSE keeper counts the ships - that pass him!"),
        GivenAnswer("tuned", "b", 0, "Speaker 1: counts the ships that\nSpeaker 2: pass him in the night"),
        GivenAnswer("base", "a", 0, f"Speaker 1: well {learned} and every other night there is"),
        GivenAnswer("base", "b", 0, None),
    ]
    found = measure_overlap(training, answers, DIALOGUE)
    assert found.values == {("tuned", "a", 0): 1.0, ("base", "a", 0): pytest.approx(6 / 13)}
    assert found.remarks["tuned"] == "longest run 10 words"
    assert found.remarks["base"] == "longest run 13 words"
    assert [test.passed for test in found.tests] == [True]


@given(st.lists(st.sampled_from("abcdef"), max_size=40), st.lists(st.sampled_from("abcdefg"), max_size=40))
def test_the_index_finds_what_a_set_of_tuples_does(corpus: list[str], asked: list[str]) -> None:
    index = NgramIndex([" ".join(corpus)], words=3)
    known = {tuple(corpus[at : at + 3]) for at in range(len(corpus) - 2)}
    expected = [tuple(asked[at : at + 3]) in known for at in range(len(asked) - 2)]
    assert index.contains(asked).tolist() == expected
    assert len(index) == len(known)


class Letters:
    """Each text as the shares of a and b in it, of unit length."""

    random_weights = False

    def encode(self, texts, progress=lambda: None):  # type: ignore[no-untyped-def]
        import numpy as np

        rows = np.array([[text.count("a") + 1e-9, text.count("b")] for text in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_coherence_is_the_mean_cosine_of_neighbours_beside_that_of_strangers() -> None:
    answers = [
        GivenAnswer("arm", "x", 0, "Speaker 1: aa\nSpeaker 2: aa\nSpeaker 1: bb"),
        GivenAnswer("arm", "y", 0, "Speaker 1: bb\nSpeaker 2: bb"),
        GivenAnswer("arm", "z", 0, "Speaker 1: alone"),
    ]
    found = measure_coherence(Letters(), answers, DIALOGUE)
    assert found.values == {("arm", "x", 0): pytest.approx(0.5), ("arm", "y", 0): pytest.approx(1.0)}
    assert found.remarks["arm"] == "0.00 between turns of different samples"
    assert found.tests[0].passed


@given(st.text(max_size=60))
def test_tokens_have_no_punctuation_and_no_case(text: str) -> None:
    import unicodedata

    kept = "".join(" " if unicodedata.category(c) == "Pd" else c for c in text.lower())
    bare = "".join(c for c in kept if unicodedata.category(c)[0] not in "PS")
    assert tokens_of(text) == tokens_of(bare)
    assert "".join(tokens_of(text)) == "".join(bare.split())
