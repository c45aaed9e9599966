"""Stretches of videos as shards of pictures and sound, for benchmarks whose videos nobody has decoded yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabula_api.recipes.visual_instruction.watch import VisualInstructionEvalSpec, WatchedFrames
from fabula_api.uri import path_problem
from fabula_workloads.recipes.visual_instruction.packing import pack
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid, NotFound
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store
from fabula_workloads.samples.found import Search
from fabula_workloads.video.frames import moments
from fabula_workloads.video.opening import UnfitVideo, facts


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a sample watches, cut."""

    end: float
    frames: tuple[float, ...]
    shard: Path
    sound: bool


class Cutter:
    """Cuts stretches of the videos below a folder. What cannot be cut is counted by its reason."""

    def __init__(self, search: Search, store: Store) -> None:
        spec = search.spec
        if not isinstance(spec, VisualInstructionEvalSpec):
            raise ConfigInvalid("the evaluation is none of visual-instruction")
        self._search, self._store = search, store
        self._asked: WatchedFrames = spec.visual_instruction.frames
        self._held: tuple[str, Path] | None = None

    def cut(self, video: str, start: float, end: float | None, name: str) -> Stretch | None:
        """From `start` to `end` (the video's own where it is None or lies behind). None where that cannot be had: it is
        counted, and nothing takes its place."""
        try:
            local = self._local(video)
            known = facts(local)
            stop = known.seconds if end is None else min(end, known.seconds)
            if start >= known.seconds or stop <= start:
                raise UnfitVideo("SpanOutsideVideo", f"it ends at second {known.seconds:g}")
            rate = min(self._asked.fps, self._asked.most / (stop - start))
            wanted = moments(start, stop, rate)[: self._asked.most]
            shard = self._search.scratch / f"{name}.tar"
            last = stop if known.has_audio else 0.0
            have = pack(self._search.context.check_stop, local, wanted, self._asked.side, last, shard)
            frames = tuple(at for at in wanted if at in have)
            if not frames:
                raise UnfitVideo("Cut", "it has no picture in this stretch")
            return Stretch(stop, frames, shard, last > 0)
        except NotFound:
            self.left_out("NoVideo")
        except UnfitVideo as unfit:
            self.left_out(unfit.reason)
        return None

    def left_out(self, reason: str) -> None:
        """Count a sample that is not taken."""
        self._search.tally[f"clip/skipped/{reason}"] += 1

    def _local(self, video: str) -> Path:
        video = video.removeprefix("./")
        if path_problem(video):
            raise NotFound(video)
        if self._held is None or self._held[0] != video:
            local = self._search.scratch / f"video{Path(video).suffix}"
            self._store.download(video, local)
            self._held = (video, local)
        return self._held[1]


def json_files(search: Search, what: str) -> tuple[Store, Iterator[tuple[str, list[Any]]]]:
    """The folder of a benchmark, and each of its JSON files that holds a list, by path.

    Raises InputInvalid where there is none.
    """
    store = open_store(search.uri)
    paths = sorted(entry.path for entry in store.list() if entry.path.endswith(".json"))
    if not paths:
        raise InputInvalid(f"samples.uri: {search.uri} has no .json file with {what}")
    return store, _lists(store, paths)


def _lists(store: Store, paths: list[str]) -> Iterator[tuple[str, list[Any]]]:
    for path in paths:
        try:
            content = json.loads(store.read(path))
        except (ValueError, RecursionError) as error:
            raise InputInvalid(f"samples.uri: {store.uri}/{path} is not JSON: {error}") from None
        if isinstance(content, list):
            yield path, content


def seconds_of(stamp: str) -> float:
    """Of `00:03:10`. Raises ValueError."""
    whole = 0.0
    for part in stamp.strip().split(":"):
        whole = 60 * whole + float(part)
    return whole
