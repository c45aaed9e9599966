"""The text metrics: the published toy vectors to the digit, and what the mended profile says of the same texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_api.metrics import METRICS, PROFILES, ProfileName
from fabula_workloads.metrics.profiles import Values, measure
from fabula_workloads.recipes.podcast.answers.form import DIALOGUE
from fabula_workloads.recipes.podcast.answers.rules import violation
from fabula_workloads.recipes.podcast.answers.transcript_file import dump, load
from fabula_workloads.recipes.podcast.answers.turns import paper_v1_turns, tolerant_turns
from fabula_workloads.text.words import num_words

TOYS = {
    "A": "Speaker 1: one two three\n\nSpeaker 2: four five",
    "B": "Speaker 1:\none two three\nmore words here\nSpeaker 2:\nfour",
    "C": "**Host 1 (Alex):** hello there\n**Alex:** again",
    "D": "preamble dropped here\nSpeaker 1: a b\nSpeaker 1: c d e",
    "E": "Alex: hi there\nNote: this is parsed as a speaker\nDr. Smith: not a label\nSpeaker 12: ok",
    "F": "Speaker 1:\nSpeaker 2: only me",
    "G": "[Host]: a b c\nCo-host: d\nspeaker 2: lower case is text",
}


def measured(profile: ProfileName, text: str) -> Values:
    return measure(DIALOGUE.read(text, profile), profile, METRICS.values())


@pytest.mark.parametrize(
    ("toy", "turns", "length", "rate"),
    [("A", 2, 2.5, 200.0), ("B", 2, 3.5, 142.857142857), ("C", 0, 0, 0), ("D", 2, 2.5, 200.0)],
)
def test_paper_v1_gives_the_published_figures(toy: str, turns: int, length: float, rate: float) -> None:
    figures = measured("paper-v1", TOYS[toy])
    assert figures["turns"] == turns
    assert figures["turn-length"] == pytest.approx(length)
    assert figures["switch-rate"] == pytest.approx(rate)


@pytest.mark.parametrize(("toy", "expected"), [("A", 1.0), ("B", 1.0), ("D", 0.9090909090909091)])
def test_paper_v1_distinct_2_counts_labels_and_crosses_turns(toy: str, expected: float) -> None:
    assert measured("paper-v1", TOYS[toy])["distinct-2"] == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("toy", "turns"),
    [
        ("E", [("Alex", 2), ("Note", 11), ("Speaker 12", 1)]),
        ("F", [("Speaker 2", 2)]),
        ("G", [("Host", 3), ("Co-host", 7)]),
    ],
)
def test_paper_v1_turns(toy: str, turns: list[tuple[str, int]]) -> None:
    assert [(turn.speaker, turn.num_words) for turn in paper_v1_turns(TOYS[toy])] == turns


@pytest.mark.parametrize(
    ("toy", "turns"),
    [
        ("C", [("host 1", 2), ("host 1", 1)]),
        ("E", [("alex", 14), ("speaker 12", 1)]),
        ("G", [("host", 3), ("cohost", 1), ("speaker 2", 4)]),
    ],
)
def test_v2_reads_bold_bracketed_and_named_labels(toy: str, turns: list[tuple[str, int]]) -> None:
    assert [(turn.speaker, turn.num_words) for turn in tolerant_turns(TOYS[toy])] == turns


@pytest.mark.parametrize(
    "label",
    [
        "Speaker 1:",
        "**Speaker 1:**",
        "**Speaker 1**:",
        "[Speaker 1]:",
        "### Speaker 1:",
        "- speaker 1:",
        "*SPEAKER 1*:",
    ],
)
def test_v2_reads_every_dress_of_one_label(label: str) -> None:
    assert [(t.speaker, t.text) for t in tolerant_turns(f"{label} hello you")] == [("speaker 1", "hello you")]


def test_v2_counts_true_switches_only() -> None:
    assert measured("v2", TOYS["D"])["switch-rate"] == 0
    assert measured("v2", TOYS["A"])["switch-rate"] == 200


def test_v2_keeps_labels_out_of_words_and_bigrams() -> None:
    text = "Speaker 1: red boat\nSpeaker 2: red boat"
    assert measured("v2", text)["words"] == 4
    assert measured("v2", text)["distinct-2"] == 0.5
    assert measured("paper-v1", text)["words"] == 8


@pytest.mark.parametrize("text", ["", "no labels at all", "Scene: a title\nand more"])
def test_unparseable_has_no_figure_in_v2_and_zeros_in_paper_v1(text: str) -> None:
    assert not DIALOGUE.read(text, "v2").passages
    figures = measured("v2", text)
    assert figures.pop("format-compliance") == 0
    assert set(figures.values()) == {None}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (TOYS["A"], None),
        (TOYS["B"], None),
        ("Speaker 1: picture this\nunder it\n\nSpeaker 2: the big picture", None),
        ("  \n ", "Empty"),
        ("Welcome!\nSpeaker 1: a\nSpeaker 2: b", "TextBeforeFirstLabel"),
        ("**Speaker 1:** a\n**Speaker 2:** b", "TextBeforeFirstLabel"),
        ("Host: a\nGuest: b", "TextBeforeFirstLabel"),
        (TOYS["F"], "EmptyTurn"),
        ("Speaker 1: alone here", "OneTurn"),
        ("Speaker 1: a\nSpeaker 1: b", "OneSpeaker"),
        ("Speaker 1: our first image shows\nSpeaker 2: yes", "MentionsPictures"),
        ("Speaker 1: look at This Photo\nSpeaker 2: yes", "MentionsPictures"),
        ("Speaker 0: a\nSpeaker 1: b", "TextBeforeFirstLabel"),
    ],
)
def test_format_rules(text: str, rule: str | None) -> None:
    assert violation(text) == rule


def test_a_transcript_file_reads_back_and_header_lines_go_wherever_they_stand() -> None:
    assert load(dump("sample_01", TOYS["A"], 2.345)) == TOYS["A"]
    assert dump("sample_01", "a b", 2.35).splitlines()[:5] == [
        "Sample: sample_01", "Word count: 2", "Generation time: 2.4s", "=" * 60, "",
    ]  # fmt: skip
    assert load(dump("s", "one\nWord count: 9\n=== two\nthree", 1)) == "one\nthree"


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["Speaker 1: hello there you", "**Host 2 (Ann):** yes", "Ann: so", "[Guest]:", "", "***", "Note: x"]
        ),
        st.text(max_size=40),
    ),
    max_size=12,
).map("\n".join)


@given(LINES)
def test_figures_stay_in_their_bounds_on_any_text(text: str) -> None:
    for profile in PROFILES:
        figures = measured(profile, text)
        for metric, value in figures.items():
            assert value is None or value >= 0, metric
        assert (figures["distinct-2"] or 0) <= 1
        assert figures["format-compliance"] in (0, 1)
    if violation(text) is None:
        assert len({turn.speaker for turn in tolerant_turns(text)}) >= 2


@given(LINES)
def test_tolerant_turns_keep_every_spoken_word_once(text: str) -> None:
    assert sum(turn.num_words for turn in tolerant_turns(text)) <= num_words(text)


def test_a_line_of_asterisks_takes_no_time() -> None:
    assert tolerant_turns("*" * 200_000) == []
