"""Records and turns: whatever the corpus holds for a speaker, and what becomes of turns, for any text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_workloads.recipes.podcast.corpus.sporc import (
    BadRecord,
    episode_id,
    parse_episode,
    parse_object,
    parse_turn,
    podcast_id,
    speaker_of,
)
from fabula_workloads.recipes.podcast.dialogue import TurnPolicy, assemble, is_back_channel, tidy, written

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SAID = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.text(max_size=60)), max_size=30)
POLICIES = st.builds(
    TurnPolicy,
    min_characters=st.integers(0, 20),
    merge=st.booleans(),
    back_channels=st.sampled_from(["keep", "drop"]),
)


def reason_of(parse: Callable[[Any], object], given: Any) -> str | None:
    """Why `parse` refuses what it is given; None when it takes it."""
    try:
        parse(given)
    except BadRecord as bad:
        return bad.reason
    return None


class TestSpeaker:
    @pytest.mark.parametrize(
        ("value", "speaker"),
        [
            (["SPEAKER_01"], "SPEAKER_01"),
            (["SPEAKER_02", "SPEAKER_00"], "SPEAKER_02"),
            ("SPEAKER_01", "SPEAKER_01"),  # not its first character
            ('["SPEAKER_03"]', "SPEAKER_03"),
            ("['SPEAKER_03', 'SPEAKER_04']", "SPEAKER_03"),
            (["NO_SPEAKER", "SPEAKER_05"], "SPEAKER_05"),
            (7, "7"),
            ("SPEAKER_DATA_UNAVAILABLE", "UNKNOWN"),
            ("", "UNKNOWN"),
            ([], "UNKNOWN"),
            ([[]], "UNKNOWN"),
            (None, "UNKNOWN"),
            ([None], "UNKNOWN"),
            ("[unbalanced", "[unbalanced"),
        ],
    )
    def test_forms_in_the_corpus(self, value: Any, speaker: str) -> None:
        assert speaker_of(value) == speaker

    @given(JSON)
    def test_anything_gives_a_name(self, value: Any) -> None:
        assert speaker_of(value).strip()


class TestRecords:
    @given(st.binary(max_size=200))
    def test_any_bytes_are_an_object_or_a_reason(self, line: bytes) -> None:
        assert reason_of(parse_object, line) in {None, "NotUtf8", "NotJson", "NotAnObject"}

    @given(st.dictionaries(st.sampled_from(["mp3url", "mp3_url", "speaker", "turnText", "rssUrl", "podTitle"]), JSON))
    def test_any_object_is_a_turn_or_a_reason(self, record: dict[str, Any]) -> None:
        assert reason_of(parse_turn, record) in {None, "NoUrl", "NoText"}

    def test_details_do_not_quote_the_line(self) -> None:
        for line in (b'{"turnText": "a secret', b'"a secret"', b"\xffa secret"):
            with pytest.raises(BadRecord) as bad:
                parse_object(line)
            assert "secret" not in str(bad.value.args)

    def test_deep_nesting_is_no_crash(self) -> None:
        with pytest.raises(BadRecord):
            parse_object(b"[" * 200_000)

    def test_ids_are_sporcs_own(self) -> None:
        url = "https://anchor.fm/s/1/podcast/play/1.mp3"
        assert episode_id("") == "d41d8cd98f00b204"  # the well-known MD5 of nothing, cut to 16 digits
        assert parse_episode({"mp3_url": url, "transcript": "x"}).episode == episode_id(url)

    def test_show_by_feed_then_title_then_place_of_its_audio(self) -> None:
        url = "https://audio.example/show-a/2020-05-01/1.mp3"
        assert podcast_id({"podcast_id": "abc123"}, url) == "abc123"
        assert podcast_id({"rssUrl": "https://f", "podTitle": "T"}, url) == podcast_id({"rssUrl": "https://f"}, url)
        assert podcast_id({"podTitle": "T"}, url) != podcast_id({}, url)
        assert podcast_id({}, url) == podcast_id({}, "https://audio.example/show-a/2020-05-02/2.mp3")
        assert podcast_id({}, url) != podcast_id({}, "https://audio.example/show-b/2020-05-01/1.mp3")
        assert podcast_id({"podcast_id": "../../etc"}, url).isalnum()


class TestTurns:
    def test_merging_numbering_and_music(self) -> None:
        said = [("x", "[Music] la la"), ("b", "Hello  there,\nfriend."), ("a", "Yeah."), ("b", "So."), ("b", "Look!")]
        assert written(assemble(said, TurnPolicy()).turns) == (
            "Speaker 1: Hello there, friend.\n\nSpeaker 2: Yeah.\n\nSpeaker 1: So. Look!"
        )
        dropped = assemble(said, TurnPolicy(back_channels="drop"))
        assert written(dropped.turns) == "Speaker 1: Hello there, friend. So. Look!"
        assert dropped.dropped == {"Music": 1, "BackChannel": 1}

    def test_the_references_minimum_drops_back_channels(self) -> None:
        assembled = assemble(
            [("a", "A longer sentence."), ("b", "Right."), ("b", "Ten chars.")], TurnPolicy(10, merge=False)
        )
        assert [turn.text for turn in assembled.turns] == ["A longer sentence.", "Ten chars."]
        assert assembled.dropped == {"Short": 1}

    @pytest.mark.parametrize(("text", "expected"), [
        ("Yeah.", True), ("Right, right, of course!", True), ("Mm-hmm.", True), ("OK", True), ("...", False),
        ("Yeah, the kitchen.", False), ("Right of course yeah sure okay", False),
        ("OK，我们今天去了海边。", False), ("Yeah, größe!", False), ("Ok, понял.", False), ("Yeah, 100%.", True),
    ])  # fmt: skip
    def test_back_channels(self, text: str, expected: bool) -> None:
        assert is_back_channel(text) is expected

    @given(SAID, POLICIES)
    def test_invariants(self, said: list[tuple[str, str]], policy: TurnPolicy) -> None:
        dialogue = assemble(said, policy)
        labels = list(dict.fromkeys(turn.speaker for turn in dialogue.turns))
        assert labels == [f"Speaker {number}" for number in range(1, len(labels) + 1)]
        for turn in dialogue.turns:
            assert turn.text == tidy(turn.text) != ""
            assert "\n" not in turn.text
        if policy.merge:
            pairs = zip(dialogue.turns, dialogue.turns[1:], strict=False)
            assert all(before.speaker != after.speaker for before, after in pairs)
        else:
            assert len(dialogue.turns) + sum(dialogue.dropped.values()) == len(said)

    @given(SAID)
    def test_merging_changes_no_word(self, said: list[tuple[str, str]]) -> None:
        texts = [
            " ".join(turn.text for turn in assemble(said, TurnPolicy(merge=merge)).turns).split()
            for merge in (True, False)
        ]
        assert texts[0] == texts[1]

    @given(st.text())
    def test_tidy_gives_what_files_can_hold(self, text: str) -> None:
        once = tidy(text)
        assert tidy(once) == once
        assert json.loads(json.dumps(once).encode("utf-8")) == once
        once.encode("utf-8")

    def test_lone_surrogates_go(self) -> None:
        assert tidy("a\ud800b\x00c") == "abc"
