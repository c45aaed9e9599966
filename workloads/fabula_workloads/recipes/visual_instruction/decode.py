"""Stage `decode`: every video once, on CPUs, as pictures at the asked moments and seconds of sound. A restart decodes
none twice."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from fabula_api.base import Record
from fabula_api.recipes.visual_instruction.build import VideoFrames
from fabula_workloads.pictures.opening import UnfitPicture, open_picture
from fabula_workloads.recipes.visual_instruction.annotations.rows import Row
from fabula_workloads.recipes.visual_instruction.build_of import block_of
from fabula_workloads.recipes.visual_instruction.ingest import KIND, rows_of
from fabula_workloads.recipes.visual_instruction.sample import SOUND_NAME, frame_name
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import NotFound
from fabula_workloads.runtime.ledger import own_items
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.outcomes import Outcome, Outcomes
from fabula_workloads.video.frames import frames_at, moments
from fabula_workloads.video.opening import UnfitVideo, VideoFacts, facts
from fabula_workloads.video.sound import seconds_of_sound

if TYPE_CHECKING:
    from PIL.Image import Image

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_QUALITY = 90


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
    block = block_of(context)
    videos = by_video(rows_of(store))
    folders = {source.name: context.resolve(source.videos) for source in block.sources}
    ledger = Outcomes(context.store, Decoded)
    own = own_items(sorted(videos), context.shard, context.config.shards)
    finished = ledger.ids()
    counts: Counter[str] = Counter()
    for done, item in enumerate(own, 1):
        context.check_stop()
        rows = videos[item]
        outcome = ledger.get(item) if item in finished else None
        if outcome is None:
            with context.scratch() as scratch:
                outcome = _decoded(context, item, rows, folders[rows[0].source], block.frames, block.sound, scratch)
            ledger.put(item, outcome)
        counts["video/ok" if outcome.reason is None else f"video/skipped/{outcome.reason}"] += 1
        if block.sound and outcome.reason is None and not outcome.sound:
            counts["video/silent"] += 1
        counts["video/frames"] += len({at for window in outcome.windows.values() for at in window.frames})
        context.reporter.update(done=done, total=len(own), counts=dict(counts))
    return StageResult(counts={name: float(count) for name, count in sorted(counts.items())})


def by_video(rows: Iterable[Row]) -> Mapping[str, list[Row]]:
    """The rows of each video by its item in the ledger."""
    videos: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        videos[item_of(row)].append(row)
    return videos


def item_of(row: Row) -> str:
    """A video's id in the ledger; two videos never share one."""
    safe = _UNSAFE.sub("-", row.video)[:80].strip("-.") or "video"
    return f"{row.source}-{safe}-{hashlib.sha256(row.video.encode()).hexdigest()[:8]}"


def window_of(row: Row, seconds: float, asked: VideoFrames) -> Window | str:
    """What the row watches of a video of so many seconds, or why it is no sample."""
    if problem := row.problem(seconds):
        return problem
    end = seconds if row.end is None else min(row.end, seconds)
    if row.still:
        return Window(end=end, frames=(row.start,))
    rate = max(asked.fps, asked.least / (end - row.start))
    found = moments(row.start, end, rate)
    return "TooLong" if len(found) > asked.most else Window(end=end, frames=tuple(found))


def _decoded(
    context: StageContext, item: str, rows: Sequence[Row], folder: str, asked: VideoFrames, sound: bool, scratch: Path
) -> Decoded:
    local = scratch / f"video{Path(rows[0].video).suffix}"
    try:
        open_store(folder).download(rows[0].video, local)
        # A picture is looked at for a second.
        known = VideoFacts(1.0, 0, 0, has_audio=False) if rows[0].still else facts(local)
    except NotFound:
        return Decoded(outcome="rejected", reason="NoVideo")
    except UnfitVideo as unfit:
        return Decoded(outcome="rejected", reason=unfit.reason)
    found = {row.id: window_of(row, known.seconds, asked) for row in rows}
    rejected = {name: one for name, one in found.items() if isinstance(one, str)}
    windows = {name: one for name, one in found.items() if isinstance(one, Window)}
    if not windows:
        return Decoded(outcome="ok", rejected=rejected, seconds=known.seconds)
    shard = scratch / "shard.tar"
    wanted = sorted({at for window in windows.values() for at in window.frames})
    last = max(window.end for window in windows.values()) if sound and known.has_audio else 0.0
    try:
        if rows[0].still:
            have = pack_picture(local, asked.side, shard)
        else:
            have = pack(context.check_stop, local, wanted, asked.side, last, shard)
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
    context.store.upload(shard, path)
    with shard.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return Decoded(
        outcome="ok", windows=windows, rejected=rejected, seconds=known.seconds, sound=last > 0, path=path,
        sha256=sha256,
    )  # fmt: skip


def pack(
    check_stop: Callable[[], None], video: Path, wanted: Sequence[float], side: int, sound_until: float, shard: Path
) -> set[float]:
    """Write the shard; the moments that have a picture."""
    have: set[float] = set()
    with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as tar:
        for frame in frames_at(video, wanted, side=side):
            check_stop()
            _add(tar, frame_name(frame.at), _jpeg(frame.picture))
            have.add(frame.at)
        if sound_until:
            seconds = (second.astype("<i2").tobytes() for second in seconds_of_sound(video, 0.0, sound_until))
            _add(tar, SOUND_NAME, b"".join(seconds))
    return have


def pack_picture(picture: Path, side: int, shard: Path) -> set[float]:
    """Write the shard of a picture, which is all there is to see of its sample. Raises UnfitPicture."""
    with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, frame_name(0.0), _jpeg(open_picture(picture).resize((side, side))))
    return {0.0}


def _jpeg(picture: Image) -> bytes:
    data = io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=_QUALITY)
    return data.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Without times and owners: equal videos make equal shards."""
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
