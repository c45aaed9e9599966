"""Annotations of videos: the published schema with its real examples, and a CSV of one's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_api.recipes.visual_instruction.build import VideoFrames, VideoSource
from fabula_workloads.recipe_parts.source_rows import Unreadable
from fabula_workloads.recipes.visual_instruction.annotations.layouts import options_of
from fabula_workloads.recipes.visual_instruction.annotations.reading import drawn, read_rows
from fabula_workloads.recipes.visual_instruction.annotations.rows import Row, Turn
from fabula_workloads.recipes.visual_instruction.decode import Window, window_of
from fabula_workloads.runtime.failures import InputInvalid

GESTURE = {
    "video": "Gesture_Understanding/0001_man_50_shandong_11.mp4", "gesture": "Finger Heart", "proactive": True,
    "conversations": [
        {"from": "human", "value": "Hello", "time": 0.0},
        {"from": "gpt", "value": "Hi!", "time": 0.1},
        {"from": "gpt", "value": "A heart, thank you!", "time": 3.9176, "timespan": [1.0, 6.269]},
    ],
}  # fmt: skip
REFERENCE = {
    "video": "Visual_Reference/a.mp4", "task_type": "Visual Reference", "video_start_time": 0.0,
    "video_end_time": 1.74, "proactive": False, "ans": "B", "ans_full": "Conical",
    "questions": "What is this? A. Bicycle B. Conical C. Ball D. A. N. Other E. Kite The best option is:",
}  # fmt: skip

OFFLINE = [{"from": "human", "value": "<video>\nWhat is done?"}, {"from": "gpt", "value": "They wave."},
           {"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Two men."}]  # fmt: skip


def source(**given: Any) -> VideoSource:
    return VideoSource.model_validate({"name": "own", "annotations": "a.json", "videos": "v"} | given)


def read(*records: Any, **given: Any) -> list[Row | Unreadable]:
    return list(read_rows(json.dumps(records).encode(), source(**given)))


def test_a_gesture_is_a_reply_in_its_span_and_what_was_said_before_it_is_none() -> None:
    row = read(GESTURE)[0]
    assert isinstance(row, Row)
    assert (row.id, row.task, row.start, row.end) == ("own-000000", "gesture", 0.0, None)
    assert [turn.unasked for turn in row.turns] == [False, False, True]
    assert (row.turns[2].at, row.turns[2].start, row.turns[2].end) == (3.9176, 1.0, 6.269)


def test_a_reference_keeps_all_its_options_and_is_asked_at_the_end() -> None:
    row = read(REFERENCE)[0]
    assert isinstance(row, Row)
    assert row.options == ("Bicycle", "Conical", "Ball", "A. N. Other", "Kite")
    assert (row.task, row.answer) == ("reference", "B")
    assert [(turn.speaker, turn.at) for turn in row.turns] == [("user", 1.74), ("model", 1.74)]


def test_seven_options_stay_seven() -> None:
    letters = "ABCDEFG"
    assert len(options_of("Which? " + " ".join(f"{one}. thing {one}" for one in letters))) == 7
    assert options_of("No options here.") == ()


@pytest.mark.parametrize(
    ("record", "reason", "said"),
    [
        ({"video": "a.mp4", "task_type": "Juggling", "conversations": []}, "UnknownType", "Juggling"),
        ({"video": "../a.mp4", "conversations": GESTURE["conversations"]}, "Unreadable", "no path below"),
        ({"conversations": []}, "Unreadable", "neither a video nor an image"),
        ({"image": ["a.png", "b.png"], "conversations": OFFLINE}, "Unreadable", "2 pictures"),
        ({"video": "a.mp4", "conversations": [{"from": "human", "value": "<audio>"}]}, "Unreadable", "blank"),
        ({"video": "a.mp4", "conversations": [{"from": "narrator", "value": "x"}]}, "Unreadable", "from"),
        ({"video": "a.mp4", "conversations": [{"from": "gpt", "value": "x", "time": "nan"}]}, "Unreadable", "no time"),
        ({"video": "a.mp4", "conversations": [{"from": "gpt", "value": " "}]}, "Unreadable", "blank"),
        ({"video": "a.mp4"}, "Unreadable", "neither"),
        ("text", "Unreadable", ""),
    ],
)
def test_what_is_no_row_is_told_and_never_replaced(record: Any, reason: str, said: str) -> None:
    found = read(GESTURE, record, GESTURE)
    assert [type(one) for one in found] == [Row, Unreadable, Row] or reason == "UnknownType"
    bad = found[1]
    # A video without a turn may lack the task as well; the first fault found is the one told.
    assert isinstance(bad, Unreadable) and bad.place == "row 1"
    assert bad.reason == reason or "neither" in bad.why
    assert said in bad.why or "neither" in bad.why


def test_an_offline_sample_is_asked_once_all_has_been_seen_and_a_picture_is_one_too() -> None:
    video, picture = read({"video": "a.mp4", "conversations": OFFLINE}, {"image": ["b.png"], "conversations": OFFLINE})
    assert isinstance(video, Row) and isinstance(picture, Row)
    assert (video.offline, video.still, picture.still, picture.video) == (True, False, True, "b.png")
    assert video.turns[0].text == "What is done?"  # the schema's place for what is shown is no word
    assert {turn.at for turn in video.turns_until(7.5)} == {7.5} and video.problem(10.0) is None
    assert window_of(picture, 1.0, VideoFrames(least=8)) == Window(end=1.0, frames=(0.0,))
    long = window_of(video, 300.0, VideoFrames(most=16))  # a timed one is left out; this is seen at a lower rate
    assert isinstance(long, Window) and len(long.frames) == 16 and long.frames[1] == 300 / 16
    timed = read(GESTURE)[0]
    assert isinstance(timed, Row) and not timed.offline and timed.turns_until(7.5) == timed.turns


def test_a_csv_of_ones_own() -> None:
    text = "video,start,end,reply,question,task\na.mp4,1.5,4,Hello!,,wake-up\nb.mp4,2,3,It is red.,What colour?,\n"
    first, second = read_rows(text.encode(), source(format="spans"))
    assert isinstance(first, Row) and isinstance(second, Row)
    assert (first.task, first.turns[0].start, first.turns[0].end) == ("wake-up", 1.5, 4.0)
    assert [(turn.speaker, turn.unasked) for turn in second.turns] == [("user", False), ("model", False)]


@pytest.mark.parametrize(
    ("data", "given", "said"),
    [
        (b"{", {}, "not JSON"),
        (b"{}", {}, "this is a object"),
        (b"video,start\n", {"format": "spans"}, "no column end, reply"),
        (b"\xff\xfe", {"format": "spans"}, "no CSV in UTF-8"),
    ],
)
def test_a_file_of_another_layout_is_refused(data: bytes, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputInvalid, match=said):
        list(read_rows(data, source(**given)))


@given(st.integers(1, 60), st.floats(0.01, 1), st.integers(0, 5))
def test_a_ratio_draws_by_seed_and_not_from_the_beginning(count: int, ratio: float, seed: int) -> None:
    rows = [row for row in read(*[GESTURE] * count) if isinstance(row, Row)]
    taken = drawn(rows, source(ratio=ratio), seed)
    assert taken == drawn(rows, source(ratio=ratio), seed) == sorted(taken, key=lambda row: row.id)
    assert len(taken) == max(1, round(ratio * count))


def test_two_seeds_draw_other_rows() -> None:
    rows = [row for row in read(*[GESTURE] * 100) if isinstance(row, Row)]
    one, other = (drawn(rows, source(ratio=0.25), seed) for seed in (0, 1))
    assert one != other and one != rows[:25]


def row_of(*turns: Turn, start: float = 0.0, end: float | None = None) -> Row:
    return Row(id="a", source="s", place="row 0", video="a.mp4", task="other", start=start, end=end, turns=turns)


REPLY = Turn(speaker="model", text="x", at=2.0, start=1.0, end=3.0)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (row_of(REPLY), None),
        (row_of(REPLY, start=12.0), "SpanOutsideVideo"),
        (row_of(REPLY, start=5.0, end=4.0), "SpanOutsideVideo"),
        (row_of(Turn(speaker="model", text="x", at=11, start=11, end=12)), "SpanOutsideVideo"),
        (row_of(Turn(speaker="model", text="x", at=3, start=3, end=3)), "SpanOutsideVideo"),
        (
            row_of(Turn(speaker="user", text="?", at=5.0), Turn(speaker="model", text="x", at=4.0)),
            "AnswerBeforeQuestion",
        ),
        (row_of(Turn(speaker="user", text="?", at=5.0)), "NoReply"),
    ],
)
def test_what_a_row_may_lack_has_a_word(row: Row, reason: str | None) -> None:
    assert row.problem(10.0) == reason


def test_a_window_has_its_least_pictures_and_a_long_one_is_left_out() -> None:
    asked = VideoFrames(fps=1, most=10, least=4)
    short = window_of(row_of(Turn(speaker="model", text="x", at=0.5), end=1.0), 10.0, asked)
    assert isinstance(short, Window) and short.frames == (0.0, 0.25, 0.5, 0.75)
    whole = window_of(row_of(REPLY), 10.0, asked)
    assert isinstance(whole, Window) and len(whole.frames) == 10 and whole.end == 10.0
    assert window_of(row_of(REPLY), 11.0, asked) == "TooLong"
