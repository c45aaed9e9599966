"""Videos read at moments: uneven frames, turned pictures, no sound, files that end in their middle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.drawn_video import colour_of, draw_video

from fabula_workloads.video.frames import frames_at, moments
from fabula_workloads.video.opening import UnfitVideo, facts
from fabula_workloads.video.sound import RATE, seconds_of_sound

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)


def near(found: tuple[int, int, int], wanted: tuple[int, int, int]) -> bool:
    return all(abs(one - other) < 30 for one, other in zip(found, wanted, strict=True))


@given(st.floats(0, 100), st.floats(0.01, 50), st.floats(0.1, 30))
def test_moments_begin_at_the_start_and_stay_before_the_end(start: float, length: float, fps: float) -> None:
    found = moments(start, start + length, fps)
    assert found[0] == start and found == sorted(found)
    assert len(found) == 1 or found[-1] < start + length
    assert found[-1] + 1 / fps > start + length - 1e-3


def test_what_is_on_the_screen_does_not_depend_on_the_frame_rate(tmp_path: Path) -> None:
    # Frames at 0, 0.7, 2.3 and the end only.
    path = draw_video(tmp_path / "uneven.mp4", [(0, RED), (0.7, GREEN), (2.3, BLUE)], seconds=4)
    found = list(frames_at(path, moments(0, 4, 1)))
    assert [frame.at for frame in found] == [0, 1, 2, 3]
    wanted = [RED, GREEN, GREEN, BLUE]
    assert all(near(colour_of(frame.picture), colour) for frame, colour in zip(found, wanted, strict=True))


def test_a_window_begins_where_it_is_asked_to_and_moments_behind_the_end_have_no_frame(tmp_path: Path) -> None:
    path = draw_video(tmp_path / "a.mp4", [(0, RED), (5, GREEN), (6, BLUE)], seconds=8)
    found = list(frames_at(path, [5.5, 6.5, 7.5, 8.5, 9.5], side=32))
    assert [frame.at for frame in found] == [5.5, 6.5, 7.5]
    assert near(colour_of(found[0].picture), GREEN) and near(colour_of(found[2].picture), BLUE)
    assert found[0].picture.size == (32, 32)


def test_facts_of_a_file(tmp_path: Path) -> None:
    silent = facts(draw_video(tmp_path / "a.mp4", [(0, RED)], seconds=3))
    assert (silent.width, silent.height, silent.has_audio) == (64, 48, False)
    assert silent.seconds == pytest.approx(3, abs=0.1)
    assert facts(draw_video(tmp_path / "b.mp4", [(0, RED)], seconds=2, tone=440)).has_audio


def test_sound_comes_in_whole_seconds_and_a_silent_file_has_none(tmp_path: Path) -> None:
    path = draw_video(tmp_path / "a.mp4", [(0, RED)], seconds=2.5, tone=1000)
    found = list(seconds_of_sound(path, 0.0, 2.5))
    assert [len(second) for second in found] == [RATE] * 3
    assert np.abs(found[2][12_000:]).max() == 0  # filled up
    tone = np.abs(np.fft.rfft(found[1].astype(float))).argmax()
    assert tone == pytest.approx(1000, abs=2)
    assert list(seconds_of_sound(draw_video(tmp_path / "b.mp4", [(0, RED)], seconds=1), 0.0, 1.0)) == []


@pytest.mark.parametrize(("content", "reason"), [(b"", "Undecodable"), (b"no video at all" * 99, "Undecodable")])
def test_what_is_no_video_has_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "secret-name.mp4"
    path.write_bytes(content)
    with pytest.raises(UnfitVideo) as refused:
        list(frames_at(path, [0.0]))
    assert refused.value.reason == reason and "secret-name" not in refused.value.what


def test_a_cut_file_never_passes_for_a_whole_one(tmp_path: Path) -> None:
    """What was cut off has no frames, and no moment has the picture of another."""
    colours = [(float(second), (RED, GREEN, BLUE)[second % 3]) for second in range(12)]
    path = draw_video(tmp_path / "whole.ts", colours, seconds=12)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    found = list(frames_at(path, moments(0, 12, 1)))
    assert 4 <= len(found) < 12
    assert all(near(colour_of(f.picture), colours[n][1]) for n, f in enumerate(found))


def test_an_mp4_without_its_end_is_refused(tmp_path: Path) -> None:
    path = draw_video(tmp_path / "a.mp4", [(0, RED), (3, GREEN)], seconds=6)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnfitVideo, match="that can be read"):
        list(frames_at(path, [0.0]))
