"""Two streams of one sample: where a reply stands, what is learned at which position, and what is cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_api.recipes.visual_instruction.watch import Threshold
from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn
from fabula_workloads.recipes.visual_instruction.watcher.stream import (
    IGNORED,
    PICTURE,
    SOUND,
    Asked,
    Reply,
    Segment,
    Streams,
    blocks_of,
    two_streams,
)
from fabula_workloads.recipes.visual_instruction.watcher.tokens import MarkIds
from fabula_workloads.recipes.visual_instruction.watching.row import Spoken, View, row_of
from fabula_workloads.recipes.visual_instruction.watching.speaking import Moment, Speaking

MARKS = MarkIds(segment=90, answer=91, remark=92, quiet=93, end=94)
SYSTEM, FRAMES = [1, 2], (0.0, 1.0, 2.0, 3.0)


def streams(
    *turns: Turn, frames: tuple[float, ...] = FRAMES, sounds: tuple[float, ...] = (), wait: int = 0, **given: Any
) -> Streams:
    texts = [Asked(turn.at, [10, 11], wait) for turn in turns if turn.speaker == "user"]
    blocks = blocks_of(SYSTEM, frames, 2, texts, sounds, 3, MARKS.quiet)
    replies = [Reply(turn, _said(turn)) for turn in turns if turn.speaker == "model"]
    return two_streams(blocks, replies, turns, MARKS, **({"learn_when": True} | given))


def _said(turn: Turn) -> tuple[int, ...]:
    words = range(20, 20 + len(turn.text.split()))
    return MARKS.remark if turn.unasked else MARKS.answer, *words, MARKS.end


def model(text: str, at: float, *span: float) -> Turn:
    return Turn(speaker="model", text=text, at=at, start=span[0] if span else None, end=span[1] if span else None)


def user(at: float) -> Turn:
    return Turn(speaker="user", text="what now", at=at)


def test_blocks_end_with_the_segment_mark_and_a_remark_follows_the_frame_that_brings_it() -> None:
    made = streams(model("hello there", 1.5, 1.0, 3.0))
    assert made.user[:9] == [1, 2, 90, PICTURE, PICTURE, 90, PICTURE, PICTURE, 90]
    start = 9  # behind the frame of second 1
    assert made.agent[start : start + 4] == [MARKS.remark, 20, 21, MARKS.end]
    assert made.agent[:start] == [MARKS.quiet] * start
    assert made.targets[start - 1 : start + 3] == [MARKS.remark, 20, 21, MARKS.end]
    assert made.user[start] == PICTURE  # the video goes on beneath what is said
    assert len(made.user) == len(made.agent) == len(made.targets)


def test_an_answer_follows_its_question_and_a_question_that_waits_teaches_silence() -> None:
    made = streams(user(1.0), model("now", 1.2))
    text = next(one for one in made.segments if one.kind == "text")
    assert made.agent[text.place + 1] == MARKS.answer
    later = streams(user(1.0), model("now", 2.5, 2.0, 3.0))
    text = next(one for one in later.segments if one.kind == "text")
    assert later.targets[text.place] == MARKS.quiet


def test_what_is_asked_in_one_moment_waits_for_the_answer_before() -> None:
    """Offline samples have no times: all is asked at the end, one after another."""
    made = streams(user(4.0), model("one two", 4.0), user(4.0), model("three", 4.0), wait=4)
    first, second = (one.place for one in made.segments if one.kind == "text")
    assert made.agent[first + 1 : first + 5] == [MARKS.answer, 20, 21, MARKS.end] == made.targets[first : first + 4]
    assert made.user[first + 1 : first + 5] == [MARKS.quiet] * 4 and second == first + 7
    assert made.agent[second + 1 : second + 4] == [MARKS.answer, 20, MARKS.end]
    assert first > max(one.place for one in made.segments if one.kind == "picture")


def test_a_reply_that_is_longer_than_the_video_goes_on_behind_it() -> None:
    made = streams(model(" ".join(["word"] * 30), 3.0, 2.0, 3.5))
    assert made.agent[-1] == MARKS.end and made.user[-1] == MARKS.quiet
    assert sum(one != IGNORED for one in made.targets) == 32


def test_what_is_being_said_is_cut_where_the_next_reply_begins() -> None:
    made = streams(model(" ".join(["word"] * 30), 0.0, 0.0, 0.5), model("stop", 2.0, 2.0, 3.0))
    second = made.agent.index(MARKS.remark, made.agent.index(MARKS.remark) + 1)
    assert made.agent[second : second + 3] == [MARKS.remark, 20, MARKS.end]
    assert MARKS.end not in made.agent[:second]
    assert made.targets[second - 1] == MARKS.remark


@pytest.mark.parametrize(
    ("turns", "due"),
    [
        ((model("x", 1.5, 1.0, 3.0),), [2.0, 3.0]),
        ((model("x", 1.4, 1.2, 1.6),), [2.0]),  # between two frames: the one after it
        ((user(2.5), model("x", 2.6, 1.0, 3.0)), [3.0]),  # after what was asked
        ((user(1.0), model("x", 1.0)), []),
    ],
)
def test_it_is_time_to_speak_in_the_second_half_of_a_span(turns: tuple[Turn, ...], due: list[float]) -> None:
    made = streams(*turns)
    assert [one.at for one in made.decisions if one.wanted] == due
    assert [one.at for one in made.decisions] == list(FRAMES)
    for one in made.decisions:
        assert made.user[one.place] == PICTURE and made.user[one.place + 1] == MARKS.segment
    assert streams(*turns, learn_when=False).decisions == []


def test_only_frames_count_for_the_threshold_and_time_passes_from_decision_to_decision() -> None:
    """Marks of texts filled the published queue too, with scores that nothing had taught."""
    segments = (Segment("text", 1.0, 3), Segment("picture", 1.0, 6), Segment("picture", 2.0, 9))
    view = View(user=(0,) * 12, segments=segments, positions=None, pixels=None)  # type: ignore[arg-type]
    told: list[Spoken] = []
    row, speaking = row_of(view, 3), Speaking(MARKS, Threshold(over="sum", frames=3, above=0.35), 1, told.append)
    for place in range(14):
        row.came = float(place) if row.came is None else row.came
        token = MARKS.quiet if row.speaking is None else [20, 21, MARKS.end][len(row.speaking.tokens)]
        speaking.decide(row, token, 0.2, Moment(place, place + 0.5))
    (said,) = row.said
    assert said.at == 2.0 and said.score == 0.4 and said.tokens == [20, 21] and told == [said] and row.done
    # The frame of second 2 came behind position 6, and its first word two positions after the decision.
    assert (said.decision_seconds, said.first_token_seconds) == (2.5, 1.0)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.integers(0, 5), st.integers(1, 40))
def test_no_label_lies_outside_the_stream_whatever_comes_last(seconds: list[int], sounds: int, words: int) -> None:
    """The last block may be sound, a text or a picture; a label behind the end once cost whole samples."""
    turns = [one for at in sorted(set(seconds)) for one in (user(float(at)), model(" ".join(["w"] * words), float(at)))]
    made = streams(*turns, sounds=tuple(map(float, range(sounds))))
    assert len(made.user) == len(made.agent) == len(made.targets)
    assert made.user.count(SOUND) == 3 * sounds
    for place, target in enumerate(made.targets[:-1]):
        assert target == IGNORED or made.agent[place + 1] == target
    assert made.targets[-1] == IGNORED or made.targets[-1] == MARKS.quiet
