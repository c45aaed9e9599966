"""The extractor without a model: windows, scenes, checks, and a shard that never repeats an item."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sporc_files import episode_turns, write_lines
from tests.support.stage_context import stage_context

from fabula_workloads.recipes.podcast import extract, ingest
from fabula_workloads.recipes.podcast.dialogue import Turn, written
from fabula_workloads.recipes.podcast.extraction.excerpts import Episode, rejection
from fabula_workloads.recipes.podcast.extraction.outcome import outcome_of
from fabula_workloads.recipes.podcast.extraction.rules import RulesExtractor, relabelled, windows
from fabula_workloads.recipes.podcast.extraction.scenes import MAX_PROMPT_WORDS, drawing_prompt, scenes
from fabula_workloads.recipes.podcast.extraction.visual import inflections, lexicon, visual_lemmas
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid, TryAgain
from fabula_workloads.runtime.ledger import Ledger

REAL = Path(__file__).parents[4] / "shared/data/podcasts/speakerTurnData.jsonl.gz"
VISUAL = ["red", "kitchen", "boats", "lamp", "idea", "project", "the", "and", "was"]
TURNS = st.lists(
    st.builds(
        Turn,
        speaker=st.sampled_from(["Speaker 1", "Speaker 2", "Speaker 3"]),
        text=st.lists(st.sampled_from(VISUAL), min_size=1, max_size=30).map(" ".join),
    ),
    max_size=25,
)


class TestWindows:
    @given(TURNS, st.integers(1, 60), st.integers(0, 120))
    def test_whole_turns_of_the_asked_length_by_two_speakers(self, turns: list[Turn], low: int, extra: int) -> None:
        for window in windows(turns, low, low + extra):
            part = turns[window.start : window.stop]
            assert low <= len(written(part).split()) <= low + extra
            assert len({turn.speaker for turn in part}) >= 2

    @given(TURNS, st.integers(1, 60), st.integers(0, 120))
    def test_none_is_missed(self, turns: list[Turn], low: int, extra: int) -> None:
        found = {(window.start, window.stop) for window in windows(turns, low, low + extra)}
        for start in range(len(turns)):
            for stop in range(start + 1, len(turns) + 1):
                part = turns[start:stop]
                fits = low <= len(written(part).split()) <= low + extra and len({turn.speaker for turn in part}) >= 2
                assert ((start, stop) in found) is fits

    @given(TURNS)
    def test_excerpts_are_in_order_and_share_no_turn(self, turns: list[Turn]) -> None:
        numbered = [Turn(turn.speaker, f"{turn.text} mark{index}") for index, turn in enumerate(turns)]
        extractor = RulesExtractor(min_words=20, max_words=60, max_excerpts=4, scenes_per_excerpt=0)
        extraction = extractor.extract(Episode("e", "p", tuple(numbered)))
        marks = [
            int(word.removeprefix("mark"))
            for excerpt in extraction.excerpts
            for word in excerpt.text.split()
            if word.startswith("mark")
        ]
        assert marks == sorted(set(marks))
        assert len(extraction.excerpts) <= 4
        for excerpt in extraction.excerpts:
            assert excerpt.text.startswith("Speaker 1: ")
            assert rejection(excerpt.text, 20, 60) is None
        assert (extraction.reason is None) is bool(extraction.excerpts)

    def test_the_most_visual_window_is_taken(self) -> None:
        dull = [
            "we",
            "talked",
            "about",
            "the",
            "strategy",
            "of",
            "the",
            "company",
            "and",
            "the",
            "process",
            "of",
            "the",
            "project",
            "for",
            "a",
            "while",
        ]
        vivid = [
            "the",
            "red",
            "boat",
            "lay",
            "beside",
            "the",
            "stone",
            "quay",
            "and",
            "a",
            "lamp",
            "shone",
            "on",
            "the",
            "wet",
            "green",
            "rope",
        ]
        turns = [Turn(f"Speaker {1 + index % 2}", " ".join(vivid if 4 <= index < 6 else dull)) for index in range(10)]
        extractor = RulesExtractor(min_words=30, max_words=45, max_excerpts=1, scenes_per_excerpt=1)
        (excerpt,) = extractor.extract(Episode("e", "p", tuple(turns))).excerpts
        assert excerpt.text == written(relabelled(turns[4:6]))

    @pytest.mark.parametrize(
        ("turns", "reason"),
        [
            ([Turn("Speaker 1", "the red boat " * 50)], "SingleSpeaker"),
            ([Turn("Speaker 1", "red boat"), Turn("Speaker 2", "blue boat")], "NoWindow"),
            ([Turn("Speaker 1", "our idea of process " * 8), Turn("Speaker 2", "and what it means " * 8)], "NotVisual"),
            ([Turn("Speaker 1", "red boat lamp " * 12), Turn("Speaker 2", "red boat lamp " * 12)], "NoValidExcerpt"),
        ],
    )
    def test_an_episode_without_excerpts_says_why(self, turns: list[Turn], reason: str) -> None:
        extractor = RulesExtractor(min_words=40, max_words=100, max_excerpts=3, scenes_per_excerpt=2)
        extraction = extractor.extract(Episode("e", "p", tuple(turns)))
        assert outcome_of(extraction, "p").outcome == "skipped"
        assert extraction.reason == reason
        if reason == "NoValidExcerpt":
            assert extraction.rejected == {"Repetition": 1}


class TestChecks:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("one two three", "TooShort"),
            (" ".join(str(n) for n in range(201)), "TooLong"),
            (" ".join(str(n) for n in range(200)), None),
            ("a b c " * 5 + " ".join(str(n) for n in range(40)), None),
            ("a b c x " * 6 + " ".join(str(n) for n in range(40)), "Repetition"),
            ("A B C X " * 3 + "a b c x " * 3 + " ".join(str(n) for n in range(40)), None),  # as written, case counts
            ("a b c x " * 6 + " ".join(str(n) for n in range(10)), None),  # below 50 words nothing is a repetition
            ("[Sigh] [music] " + " ".join(str(n) for n in range(60)), None),
            ("[Sigh] [music] [INAUDIBLE] " + " ".join(str(n) for n in range(60)), "TooManyMarkers"),
        ],
    )
    def test_from_the_text_itself(self, text: str, reason: str | None) -> None:
        assert rejection(text, 10, 200) == reason


class TestScenes:
    @pytest.mark.parametrize(
        ("sentence", "prompt"),
        [
            ("Yeah, well, um, the red boat was, you know, tied to the quay.", "The red boat was, tied to the quay."),
            ("And so the lamp [laughs] fell into the bowl,", "The lamp fell into the bowl"),
            ("It was like a ship.", "It was like a ship."),
            ("Oh! Look, there are cats on the wall!", "There are cats on the wall!"),
        ],
    )
    def test_prompts_are_cleaned(self, sentence: str, prompt: str) -> None:
        assert drawing_prompt(sentence) == prompt

    def test_long_sentences_are_cut_to_their_most_visual_part(self) -> None:
        dull = ", ".join(["we had talked about the strategy and the process of the company"] * 5)
        prompt = drawing_prompt(f"{dull}, the red boat lay at the stone quay, {dull}.")
        assert "red boat lay at the stone quay" in prompt
        assert len(prompt.split()) <= MAX_PROMPT_WORDS

    def test_the_best_in_the_order_of_the_text(self) -> None:
        turns = [
            Turn("Speaker 1", "A lamp shone on the red boat. What a wonderful idea that was."),
            Turn(
                "Speaker 2", "There was a cat on the table. The blue door, the brown bench and the green wall were wet."
            ),
        ]
        assert scenes(turns, 2) == (
            "A lamp shone on the red boat.",
            "The blue door, the brown bench and the green wall were wet.",
        )
        assert len(scenes(turns, 6)) == 3

    @given(st.text(max_size=400))
    def test_any_sentence_gives_a_short_line(self, sentence: str) -> None:
        prompt = drawing_prompt(sentence)
        assert len(prompt.split()) <= MAX_PROMPT_WORDS
        assert "[" not in prompt or "]" not in prompt.split("[", 1)[1]


class TestVocabulary:
    def test_the_list_is_large_clean_and_knows_forms(self) -> None:
        known = lexicon()
        assert len({lemma for lemma, visual in known.values() if visual}) >= 400
        assert all(form.isalpha() and form.islower() for form in known)
        assert visual_lemmas("Boats, benches and bodies; the cats sat baking") == Counter(
            boat=1, bench=1, cat=1, bake=1
        )

    def test_forms(self) -> None:
        assert {"bakes", "baked", "baking", "berries", "mixes", "stirring"} <= (
            inflections("bake") | inflections("berry") | inflections("mix") | inflections("stir")
        )


SPEC: dict[str, Any] = {
    "source": {"uri": "in.jsonl", "licenseAccepted": True},
    "extraction": {"provider": "rules", "words": {"min": 100, "max": 300}, "maxExcerpts": 2},
    "images": {"provider": "none", "perSample": 1},
}


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[Path, str]:
    """(root, the ingest artifact's folder) of twelve visual episodes."""
    episodes = [episode_turns(number, turns=10, words=40, show=f"s{number % 4}") for number in range(12)]
    write_lines(tmp_path / "in.jsonl", (record for turns in episodes for record in turns))
    result = ingest.run(stage_context(tmp_path, "DatasetBuild", "ingest", SPEC, "ingest"))
    assert result.uri is not None
    return tmp_path, result.uri


def extract_context(corpus: tuple[Path, str], output: str = "extract", shard: int = 0, shards: int = 1) -> StageContext:
    root, uri = corpus
    return stage_context(root, "DatasetBuild", "extract", SPEC, output, {"ingest": uri}, shard=shard, shards=shards)


class TestStage:
    def test_any_number_of_shards_gives_the_same_ledger(self, corpus: tuple[Path, str]) -> None:
        ledgers = []
        for shards in (1, 2, 5):
            counts: Counter[str] = Counter()
            for shard in range(shards):
                context = extract_context(corpus, f"extract-{shards}", shard, shards)
                counts.update({name: int(count) for name, count in extract.run(context).counts.items()})
            ledgers.append((dict(Ledger(context.store).items()), counts))
        assert ledgers[0] == ledgers[1] == ledgers[2]
        outcomes, counts = ledgers[0]
        assert len(outcomes) == 12
        assert counts["extract/ok"] == 12
        assert counts["excerpt/ok"] == sum(len(outcome["excerpts"]) for outcome in outcomes.values())

    def test_outcomes_are_as_the_next_stages_read_them(self, corpus: tuple[Path, str]) -> None:
        context = extract_context(corpus)
        extract.run(context)
        _, outcome = next(Ledger(context.store).items())
        assert outcome["outcome"] == "ok"
        excerpt = outcome["excerpts"][0]
        assert set(excerpt) == {"index", "text", "words", "scenes"}
        assert excerpt["words"] == len(excerpt["text"].split())
        assert excerpt["scenes"][0]["index"] == 1

    def test_stopped_and_started_again_it_repeats_none(self, corpus: tuple[Path, str]) -> None:
        context = extract_context(corpus)
        taken: list[str] = []
        put = Ledger.put

        def put_and_stop(ledger: Ledger, item: str, outcome: dict[str, Any]) -> None:
            put(ledger, item, outcome)
            taken.append(item)
            if len(taken) % 5 == 0:
                context.stopping.set()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ledger, "put", put_and_stop)
            for _ in range(2):
                with pytest.raises(TryAgain, match="told to stop"):
                    extract.run(context)
                context = extract_context(corpus)
            result = extract.run(context)
        assert len(taken) == len(set(taken)) == 12
        assert result.counts["extract/ok"] == 12
        report = context.reporter.report
        assert (report.done, report.total) == (12, 12)

    def test_a_range_upside_down(self, corpus: tuple[Path, str]) -> None:
        root, uri = corpus
        spec = SPEC | {"extraction": {"provider": "rules", "words": {"min": 300, "max": 200}}}
        with pytest.raises(ConfigInvalid, match=r"extraction\.words\.min 300 is above max 200"):
            extract.run(stage_context(root, "DatasetBuild", "extract", spec, "x", {"ingest": uri}))


@pytest.mark.skipif(not REAL.exists(), reason="the 80 real episodes are not beside this checkout")
class TestRealEpisodes:
    @pytest.fixture(scope="class")
    @classmethod
    def outcomes(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
        root = tmp_path_factory.mktemp("real")
        spec = {
            "source": {"uri": REAL.resolve().as_uri(), "licenseAccepted": True},
            "extraction": {"provider": "rules", "words": {"min": 200, "max": 400}},
        }
        result = ingest.run(stage_context(root, "DatasetBuild", "ingest", spec, "ingest"))
        assert result.counts == {"episode/ok": 80}
        context = stage_context(root, "DatasetBuild", "extract", spec, "extract", {"ingest": result.uri or ""})
        extract.run(context)
        return dict(Ledger(context.store).items())

    def test_talk_about_software_is_mostly_not_visual(self, outcomes: dict[str, dict[str, Any]]) -> None:
        assert len(outcomes) == 80
        tally = Counter(outcome.get("reason", "ok") for outcome in outcomes.values())
        assert tally["NotVisual"] > 60
        assert 1 <= tally["ok"] <= 20

    def test_what_is_found_is_in_the_asked_range(self, outcomes: dict[str, dict[str, Any]]) -> None:
        excerpts = [excerpt for outcome in outcomes.values() for excerpt in outcome["excerpts"]]
        assert excerpts
        for excerpt in excerpts:
            assert 200 <= excerpt["words"] <= 400
            assert len(excerpt["scenes"]) == 5
            assert "Speaker 2:" in excerpt["text"]
            for scene in excerpt["scenes"]:
                assert len(scene["prompt"].split()) <= MAX_PROMPT_WORDS
                assert "Speaker" not in scene["prompt"]


def test_a_line_of_the_artifact_is_an_episode(corpus: tuple[Path, str]) -> None:
    context = extract_context(corpus)
    with context.open_input("ingest").open("episodes.jsonl") as lines:
        episode = Episode.from_json(json.loads(next(lines)))
    assert len(episode.turns) == 10
