"""Alignment, chunks, replies and the prompt: what is believed of a model's answer, and what it is asked."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.bedrock_model import Manner, answer

from fabula_api.recipes import stages_of
from fabula_workloads.recipes.podcast.dialogue import Turn, written
from fabula_workloads.recipes.podcast.extraction.alignment import Transcript, parse_dialogue
from fabula_workloads.recipes.podcast.extraction.checks import ExcerptChecks
from fabula_workloads.recipes.podcast.extraction.chunks import chunks
from fabula_workloads.recipes.podcast.extraction.excerpt_prompt import (
    EXCERPT_PROMPT_VERSION,
    TOOL,
    converse_request,
    excerpt_prompt_digest,
    user_text,
)
from fabula_workloads.recipes.podcast.extraction.excerpt_reply import kept_reply, read_reply
from fabula_workloads.recipes.podcast.extraction.outcome import ExtractOutcome, Verbatim


def talk(num_turns: int = 40, words: int = 20, seed: int = 1) -> list[Turn]:
    dice = random.Random(seed)
    return [
        Turn(f"Speaker {1 + n % 2}", " ".join(f"word{dice.randrange(10_000)}" for _ in range(words)) + ".")
        for n in range(num_turns)
    ]


TALK = talk()
SCENES = tuple(f"A red boat number {number} at a pier." for number in range(5))
LABELS = {"Speaker 1", "Speaker 2"}


def checked(text: str, scenes: tuple[str, ...] = SCENES, labels: set[str] = LABELS, words: Any = (50, 300)) -> str:
    """Why an excerpt is rejected, or `ok`."""
    found = ExcerptChecks(Transcript(TALK), words, 5, 0.8).check(text, scenes, labels)
    return found.reason or "ok"


class TestChecks:
    def test_a_copied_stretch_passes_and_is_numbered_anew(self) -> None:
        result = ExcerptChecks(Transcript(TALK), (50, 300), 5, 0.8).check(written(TALK[3:9]), SCENES, LABELS)
        assert result.excerpt is not None
        assert result.excerpt.text.startswith("Speaker 1: ") and TALK[3].speaker == "Speaker 2"
        assert result.excerpt.verbatim_ratio == 1.0 and result.excerpt.scenes == SCENES

    def test_case_and_punctuation_are_no_paraphrase(self) -> None:
        assert checked(written(TALK[2:8]).replace(".", "!").replace("word", "Word")) == "ok"

    def test_other_words_are(self) -> None:
        turns = [Turn(turn.speaker, turn.text.replace("3", "4").replace("7", "8")) for turn in TALK[2:8]]
        assert checked(written(turns)) == "NotVerbatim"

    def test_one_changed_word_in_fifty_is_let_through(self) -> None:
        text = written(TALK[2:8])
        assert checked(text.replace(TALK[4].text.split()[3], "altered", 1)) == "ok"

    def test_swapped_speakers(self) -> None:
        swapped = written(TALK[2:8]).replace("Speaker 1:", "@").replace("Speaker 2:", "Speaker 1:")
        assert checked(swapped.replace("@", "Speaker 2:")) == "WrongSpeakers"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("nobody says this", "NoSpeakers"),
            (written(TALK[:6]).replace("Speaker 2", "Speaker 7"), "UnknownSpeaker"),
            (written([TALK[0], TALK[2], TALK[4], TALK[6]]), "Monologue"),
            (written(TALK[:2]), "TooShort"),
            (written(TALK[:30]), "TooLong"),
            (written(TALK[:6]) + " [music] [music] [laughter]", "TooManyMarkers"),
            (written(TALK[:4]) + " and and and and and and and and and" * 3, "Repetition"),
        ],
    )
    def test_reasons(self, text: str, reason: str) -> None:
        assert checked(text) == reason

    def test_scenes_are_counted_without_empty_and_repeated_ones(self) -> None:
        assert checked(written(TALK[:6]), (*SCENES[:4], " ", SCENES[0])) == "TooFewScenes"

    def test_two_excerpts_that_overlap_are_one(self) -> None:
        checks = ExcerptChecks(Transcript(TALK), (50, 300), 5, 0.8)
        assert checks.check(written(TALK[0:8]), SCENES, LABELS).excerpt is not None
        assert checks.check(written(TALK[3:11]), SCENES, LABELS).reason == "Duplicate"
        assert checks.check(written(TALK[8:16]), SCENES, LABELS).excerpt is not None

    def test_a_line_without_label_goes_on_with_the_turn_before(self) -> None:
        assert parse_dialogue("Speaker 1: one\ntwo\n\nSpeaker 2: three") == [
            Turn("Speaker 1", "one two"),
            Turn("Speaker 2", "three"),
        ]
        assert parse_dialogue("no label") is None


class TestChunks:
    @given(st.lists(st.integers(1, 120), min_size=1, max_size=60), st.integers(300, 900), st.integers(0, 200))
    @example([1, 1, 1, 1, 1, 93, 120], 300, 167)
    def test_every_turn_is_in_a_chunk_in_order_and_none_is_too_long(
        self, lengths: list[int], size: int, overlap: int
    ) -> None:
        turns = [Turn(f"Speaker {1 + n % 2}", f"{n}" + "x" * length) for n, length in enumerate(lengths)]
        parts = chunks(turns, size, overlap)
        assert all(len(written(part)) <= size for part in parts)
        assert list(dict.fromkeys(turn for part in parts for turn in part)) == turns
        for before, after in pairwise(parts):
            shared = [turn for turn in after if turn in before]
            assert len(written(shared)) <= overlap and after[: len(shared)] == tuple(shared)
            assert len(after) > len(shared), "each chunk brings something new"

    def test_a_short_transcript_is_one_chunk(self) -> None:
        assert chunks(TALK) == [tuple(TALK)]

    def test_an_endless_turn_is_cut_between_sentences(self) -> None:
        turn = Turn("Speaker 1", " ".join(f"This is sentence number {n}." for n in range(500)))
        parts = chunks([turn], 1000, 100)
        assert all(piece.text.endswith(".") for part in parts for piece in part)
        assert len(parts) > 10

    def test_chunks_overlap_by_about_what_is_asked(self) -> None:
        parts = chunks(talk(400), 4000, 600)
        for before, after in pairwise(parts):
            assert 300 < len(written([turn for turn in after if turn in before])) <= 600


REPLY = {
    "visualizable": True,
    "excerpts": [{"excerpt": f"Speaker 1: {n}", "scenes": ['a {brace} and "quotes"']} for n in range(3)],
    "more": True,
}


def reply(*blocks: dict[str, Any], stop: str = "end_turn") -> Any:
    return read_reply(kept_reply({"output": {"message": {"content": list(blocks)}}, "stopReason": stop}))


class TestReplies:
    @pytest.mark.parametrize(
        "text",
        [
            json.dumps(REPLY),
            f"```json\n{json.dumps(REPLY, indent=1)}\n```",
            f"Of {{course}}:\n```\n{json.dumps(REPLY)}\n```\nAnything else? {{}}",
            f"```json\n{json.dumps(REPLY)}",
        ],
        ids=["bare", "fenced", "prose", "fence not closed"],
    )
    def test_json_is_found_in_whatever_text(self, text: str) -> None:
        found = reply({"text": text})
        assert (found.kind, len(found.excerpts), found.more) == ("ok", 3, True)

    def test_the_tool_wins(self) -> None:
        found = reply({"text": "Let me see."}, {"toolUse": {"name": TOOL, "input": REPLY}}, stop="tool_use")
        assert found.kind == "ok" and found.excerpts[2].text == "Speaker 1: 2"

    @pytest.mark.parametrize(("part", "whole"), [(0.2, 0), (0.5, 1), (0.8, 2), (0.97, 3)])
    def test_a_cut_reply_keeps_its_whole_excerpts(self, part: float, whole: int) -> None:
        text = json.dumps(REPLY)
        found = reply({"text": text[: int(len(text) * part)]}, stop="max_tokens")
        assert found.kind == "truncated" and found.more
        assert [one.text for one in found.excerpts] == [f"Speaker 1: {n}" for n in range(whole)]

    def test_a_cut_tool_use_has_nothing(self) -> None:
        found = reply({"toolUse": {"name": TOOL, "input": {}}}, stop="max_tokens")
        assert (found.kind, found.excerpts) == ("truncated", [])

    @pytest.mark.parametrize(
        ("blocks", "stop", "kind"),
        [
            ([{"text": "I can't help with that."}], "end_turn", "refused"),
            ([], "refusal", "refused"),
            ([], "guardrail_intervened", "refused"),
            ([{"text": '{"excerpts": [}'}], "end_turn", "malformed"),
            ([{"toolUse": {"name": TOOL, "input": {"excerpts": "none"}}}], "tool_use", "malformed"),
            ([{"toolUse": {"name": TOOL, "input": {"excerpts": [{"text": "x"}]}}}], "tool_use", "malformed"),
        ],
    )
    def test_what_cannot_be_used(self, blocks: list[dict[str, Any]], stop: str, kind: str) -> None:
        assert reply(*blocks, stop=stop).kind == kind

    @pytest.mark.parametrize(("said", "reason"), [("unsafe", "Unsafe"), ("I think it is dull", "NotVisual")])
    def test_a_no_has_one_of_our_reasons(self, said: str, reason: str) -> None:
        document = {"visualizable": False, "reason": said, "excerpts": [], "more": False}
        found = reply({"toolUse": {"name": TOOL, "input": document}}, stop="tool_use")
        assert (found.kind, found.reason) == ("negative", reason)


class TestPrompt:
    def test_its_words_are_pinned_to_its_version(self) -> None:
        """Other words are another prompt: raise its version and the extract stage's, then pin anew."""
        extract = next(stage for stage in stages_of("podcast", "DatasetBuild") or () if stage.name == "extract")
        assert (EXCERPT_PROMPT_VERSION, extract.version, excerpt_prompt_digest()) == ("excerpts-v1", 2, PINNED)

    def test_an_honest_model_understands_it(self) -> None:
        text = user_text(written(TALK), words=(100, 200), most=2, num_scenes=3)
        said = answer(text, Manner())
        assert len(said["excerpts"]) == 2 and all(len(one["scenes"]) == 3 for one in said["excerpts"])
        assert all(checked(one["excerpt"], words=(100, 200)) == "ok" for one in said["excerpts"])

    def test_one_definition_of_the_tool_asks_for_the_scenes(self) -> None:
        request = converse_request("x", num_scenes=4, max_tokens=100)
        schema = request["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]
        scenes = schema["properties"]["excerpts"]["items"]["properties"]["scenes"]
        assert (scenes["minItems"], scenes["maxItems"]) == (4, 4)
        assert request["toolConfig"]["toolChoice"] == {"tool": {"name": TOOL}}


def test_ledgers_keep_their_words() -> None:
    outcome = ExtractOutcome(outcome="ok", verbatim=Verbatim(grams=9, matched=8))
    kept = outcome.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert kept == {"outcome": "ok", "verbatim": {"grams": 9, "found": 8}}
    assert ExtractOutcome.model_validate(kept) == outcome
    assert outcome.tally() == {"extract/ok": 1, "verbatim/grams": 9, "verbatim/found": 8}


PINNED = "sha256:833bef47860bf72da9567c73895839a4f5f0f8717dc718661aa7a13c7c270284"
