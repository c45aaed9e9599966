"""ViSpeak-Bench: a JSON file for each subtask, in the schema of the training data, beside a folder of videos."""

from __future__ import annotations

from collections.abc import Sequence

from fabula_api.recipes.visual_instruction.build import VideoSource
from fabula_workloads.recipe_parts.source_rows import Unreadable
from fabula_workloads.recipes.visual_instruction.annotations.layouts import task_of_file
from fabula_workloads.recipes.visual_instruction.annotations.reading import read_rows
from fabula_workloads.recipes.visual_instruction.annotations.rows import Row
from fabula_workloads.recipes.visual_instruction.finding.cutting import Cutter, json_files
from fabula_workloads.recipes.visual_instruction.finding.drawing import drawn
from fabula_workloads.recipes.visual_instruction.held_out import clip_of
from fabula_workloads.recipes.visual_instruction.sample import VideoSample
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.samples.found import FoundSample, Search


def vispeak_bench(search: Search) -> Sequence[FoundSample]:
    """Its samples, subtask by subtask. A file's name says the subtask, whatever version stands behind it."""
    store, files = json_files(search, "annotations of ViSpeak-Bench")
    rows: list[Row] = []
    for path, _ in files:
        task = task_of_file(path)
        if task is None:
            continue
        source = VideoSource(name=task, annotations=path, videos=store.uri, task=task)
        for entry in read_rows(store.read(path), source):
            if isinstance(entry, Unreadable):
                search.tally[f"clip/skipped/{entry.reason}"] += 1
            else:
                rows.append(entry)
    if not rows:
        raise InputInvalid(
            f"samples.uri: {store.uri} has no annotations of ViSpeak-Bench, such as Gesture_Understanding.json"
        )
    cutter, clips = Cutter(search, store), list[FoundSample]()
    for row in drawn(rows, search.spec.samples.count, search.spec.samples.seed):
        search.context.check_stop()
        if problem := row.problem(float("inf")):
            cutter.left_out(problem)
            continue
        name = f"{len(clips) + 1:05d}"
        stretch = cutter.cut(row.video, row.start, row.end, name)
        if stretch is None:
            continue
        sample = VideoSample(
            id=row.id, source=row.source, video=row.video, task=row.task, start=row.start, end=stretch.end,
            shard="", frames=stretch.frames, sound=stretch.sound, turns=row.turns_until(stretch.end),
            options=row.options, answer=row.answer,
        )  # fmt: skip
        clips.append(clip_of(len(clips) + 1, sample, stretch.shard))
    return clips
