"""Stage `decode`: every video once, on CPUs, as pictures at the asked moments and seconds of sound. A restart decodes
none twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from fabula_api.base import Record
from fabula_api.recipes.visual_instruction.build import VideoFrames, VisualInstructionBuildSpec
from fabula_workloads.pictures.opening import UnfitPicture
from fabula_workloads.recipe_parts.source_rows import stored_rows
from fabula_workloads.recipes.visual_instruction.annotations.rows import Row
from fabula_workloads.recipes.visual_instruction.ingest import KIND
from fabula_workloads.recipes.visual_instruction.packing import pack, pack_picture
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import NotFound
from fabula_workloads.runtime.items import each_once
from fabula_workloads.runtime.kept_files import keep_file
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.outcomes import Outcome, Outcomes
from fabula_workloads.text.file_names import item_name
from fabula_workloads.video.frames import moments
from fabula_workloads.video.opening import UnfitVideo, VideoFacts, facts


class Window(Record):
    """What a row watches."""

    end: float
    frames: tuple[float, ...]


class Decoded(Outcome):
    """Of one video. `reason` says why nothing of it can be used."""

    windows: dict[str, Window] = Field(default_factory=dict)
    """By row."""
    rejected: dict[str, str] = Field(default_factory=dict)
    """Rows of it that are no sample, and why."""
    seconds: float = 0.0
    sound: bool = False
    path: str | None = None
    sha256: str | None = None

    def problem(self, row: str) -> str | None:
        """Why a row is no sample; None where it is one."""
        return self.reason or self.rejected.get(row)


def run(context: StageContext) -> StageResult:
    """Decode this shard's videos that have no outcome yet."""
    store, _ = context.read_artifact("ingest", KIND)
    block = context.spec_of(VisualInstructionBuildSpec).visual_instruction
    videos = by_video(stored_rows(store, Row))
    folders = {source.name: context.resolve(source.videos) for source in block.sources}

    def decode(item: str) -> Decoded:
        rows = videos[item]
        with context.scratch() as scratch:
            return _decoded(context, item, rows, folders[rows[0].source], block.frames, block.sound, scratch)

    def counts(video: Decoded) -> Iterator[tuple[str, int]]:
        yield "video/ok" if video.reason is None else f"video/skipped/{video.reason}", 1
        if block.sound and video.reason is None and not video.sound:
            yield "video/silent", 1
        yield "video/frames", len({at for window in video.windows.values() for at in window.frames})

    return each_once(context, Outcomes(context.store, Decoded), videos, decode, counts)


def by_video(rows: Iterable[Row]) -> Mapping[str, list[Row]]:
    """The rows of each video by its item in the ledger."""
    videos: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        videos[item_of(row)].append(row)
    return videos


def item_of(row: Row) -> str:
    """A video's id in the ledger, with the sound that belongs to it; two never share one."""
    return item_name(row.source, row.video, "video", None if row.audio is None else f"{row.video}\n{row.audio}")


def window_of(row: Row, seconds: float, asked: VideoFrames) -> Window | str:
    """What the row watches of a video of so many seconds, or why it is no sample."""
    if problem := row.problem(seconds):
        return problem
    end = seconds if row.end is None else min(row.end, seconds)
    if row.still:
        return Window(end=end, frames=(row.start,))
    rate = max(asked.fps, asked.least / (end - row.start))
    if row.offline:  # nothing in it has a moment that could be missed: it is seen at a lower rate, as published
        rate = min(rate, asked.most / (end - row.start))
    seen_at = moments(row.start, end, rate)[: asked.most if row.offline else None]
    return "TooLong" if len(seen_at) > asked.most else Window(end=end, frames=tuple(seen_at))


def _decoded(
    context: StageContext, item: str, rows: Sequence[Row], folder: str, asked: VideoFrames, sound: bool, scratch: Path
) -> Decoded:
    local = scratch / f"video{Path(rows[0].video).suffix}"
    try:
        open_store(folder).download(rows[0].video, local)
        # A picture is looked at for a second.
        known = VideoFacts(1.0, 0, 0, has_audio=False) if rows[0].still else facts(local)
        heard = local if sound and known.has_audio else None
        if sound and rows[0].audio is not None:
            heard = scratch / f"sound{Path(rows[0].audio).suffix}"
            open_store(folder).download(rows[0].audio, heard)
    except NotFound:
        return Decoded(outcome="rejected", reason="NoSound" if local.exists() else "NoVideo")
    except UnfitVideo as unfit:
        return Decoded(outcome="rejected", reason=unfit.reason)
    watched = {row.id: window_of(row, known.seconds, asked) for row in rows}
    rejected = {name: reason for name, reason in watched.items() if isinstance(reason, str)}
    windows = {name: window for name, window in watched.items() if isinstance(window, Window)}
    if not windows:
        return Decoded(outcome="ok", rejected=rejected, seconds=known.seconds)
    shard = scratch / "shard.tar"
    wanted = sorted({at for window in windows.values() for at in window.frames})
    last = max(window.end for window in windows.values()) if heard is not None else 0.0
    try:
        if rows[0].still:
            have = pack_picture(local, asked.side, shard, heard)
        else:
            have = pack(context.check_stop, local, wanted, asked.side, last, shard, heard)
    except UnfitPicture:
        return Decoded(outcome="rejected", reason="Undecodable")
    except UnfitVideo as unfit:
        return Decoded(outcome="rejected", reason=unfit.reason, seconds=known.seconds)
    for name, window in list(windows.items()):
        seen = tuple(at for at in window.frames if at in have)
        # A header may promise one frame more than there is. More than that was cut off.
        if not seen or len(window.frames) - len(seen) > 1:
            rejected[name] = "Cut"
            del windows[name]
        else:
            windows[name] = window.replace(frames=seen)
    path = f"videos/{item}.tar"
    sha256 = keep_file(context.store, path, shard)
    return Decoded(
        outcome="ok", windows=windows, rejected=rejected, seconds=known.seconds, sound=last > 0, path=path,
        sha256=sha256,
    )  # fmt: skip
