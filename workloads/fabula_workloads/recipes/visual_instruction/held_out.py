"""Samples of an evaluation from a dataset's validation split, each with the pictures that a model is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fabula_workloads.pictures.packed import contents
from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.sample import VideoSample, frame_name
from fabula_workloads.samples.found import FoundSample, Search, sample_name
from fabula_workloads.training.samples.dataset import drawn_from_validation

STRIP = 10
"""Frames of a clip that people are shown."""


def held_out(search: Search) -> Sequence[FoundSample]:
    """Samples of the dataset's validation split: a fair draw where it has more."""
    folder, drawn = drawn_from_validation(search, VideoSample, "visualInstruction.split.validation")
    taken = sorted(drawn, key=lambda sample: (sample.source, sample.video, sample.start, sample.id))
    clips = []
    for number, sample in enumerate(taken, 1):
        search.context.check_stop()
        clips.append(clip_of(number, sample, folder / sample.shard))
    return clips


def clip_of(number: int, sample: VideoSample, shard: Path) -> FoundSample:
    """A sample of a dataset as a clip to watch: its last reply is awaited, those before are given."""
    name = sample_name(number, sample.id)
    replies = [turn for turn in sample.turns if turn.speaker == "model"]
    wanted = replies[-1]
    given = tuple(turn for turn in sample.turns if turn is not wanted and turn.at <= wanted.at)
    strip = strip_of(sample.frames)
    record = ClipSample(
        id=name,
        images=[f"pictures/{name}/{place:02d}.jpg" for place in range(len(strip))],
        reference=wanted.text,
        source=sample.source,
        video=sample.video,
        task=sample.task,
        question=sample.id,
        start=sample.start,
        end=sample.end,
        shard=f"videos/{name}.tar",
        frames=sample.frames,
        strip=strip,
        sound=sample.sound,
        turns=given,
        unasked=wanted.unasked,
        begins=begins_of(given, wanted, sample.start),
        span=(wanted.start, wanted.end) if wanted.start is not None and wanted.end is not None else None,
        options=sample.options,
        answer=sample.answer,
    )
    return FoundSample(record, list(parts_of(record, shard)))


def begins_of(given: Sequence[Turn], wanted: Turn, start: float) -> float:
    """From when a model may speak: at once, after what was said last, or, where it is asked, at the question."""
    if not wanted.unasked:
        return max((turn.at for turn in given if turn.speaker == "user"), default=start)
    return max((turn.at for turn in given), default=start)


def strip_of(frames: Sequence[float]) -> tuple[float, ...]:
    """Evenly spaced ones, the first and the last among them."""
    if len(frames) <= STRIP:
        return tuple(frames)
    return tuple(frames[place * (len(frames) - 1) // (STRIP - 1)] for place in range(STRIP))


def parts_of(record: ClipSample, shard: Path) -> Iterator[tuple[str, bytes | Path]]:
    """The shard, and the strip's pictures of it."""
    yield record.shard, shard
    yield from zip(record.images, contents(shard, map(frame_name, record.strip)), strict=True)
