"""Stage `assemble`: rows and decoded videos become a dataset, which depends on nothing but their content."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fabula_api.recipes.visual_instruction.build import VisualInstructionBuildSpec
from fabula_api.summary import DatasetSummary
from fabula_workloads.pictures.packed import contents
from fabula_workloads.recipe_parts.datasets import by_split, commit_dataset
from fabula_workloads.recipe_parts.source_rows import lines_of, stored_rows
from fabula_workloads.recipes.visual_instruction.annotations.rows import Row
from fabula_workloads.recipes.visual_instruction.dataset.card import card
from fabula_workloads.recipes.visual_instruction.dataset.choosing import VideoChosen, choose
from fabula_workloads.recipes.visual_instruction.dataset.moments_sheet import SHEET, moments_sheet, shown
from fabula_workloads.recipes.visual_instruction.decode import Decoded
from fabula_workloads.recipes.visual_instruction.details import PROMPT_VERSION, VideoDatasetDetails
from fabula_workloads.recipes.visual_instruction.ingest import KIND
from fabula_workloads.recipes.visual_instruction.sample import VideoSample, frame_name
from fabula_workloads.runtime.artifact import add_parts
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.kept_files import fetched_file
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.runtime.store import Store


def run(context: StageContext) -> StageResult:
    """The `assemble` stage."""
    spec = context.spec_of(VisualInstructionBuildSpec)
    block = spec.visual_instruction
    ingested, ingest = context.read_artifact("ingest", KIND)
    decoded = context.open_input("decode")
    outcomes = dict(Outcomes(decoded, Decoded).items())
    chosen = choose(stored_rows(ingested, Row), outcomes, block, spec.target.samples)
    samples = [choice.sample for choice in chosen if choice.sample is not None]
    if not samples:
        raise InputInvalid(f"no row became a sample: {_reasons(chosen)}", "NoSamples")
    splits = by_split(samples, block.sources, block.split, lambda sample: sample.video)
    counts = _counts(chosen, samples)
    with context.scratch() as scratch:
        parts = add_parts(context.store, _files(context, decoded, outcomes, chosen, splits, scratch))
    context.check_stop()
    by_name = {name: len(members) for name, members in splits.items()}
    summary = DatasetSummary(samples_by_split=by_name)
    details = VideoDatasetDetails(
        recipe=spec.recipe,
        prompt_version=PROMPT_VERSION,
        splits=by_name,
        summary=summary,
        fps=block.frames.fps,
        side=block.frames.side,
        sound=block.sound,
    )
    return commit_dataset(context, ingest, parts, counts, details)


def _counts(chosen: Sequence[VideoChosen], samples: Sequence[VideoSample]) -> dict[str, int]:
    reasons = Counter(f"sample/skipped/{choice.reason}" for choice in chosen if choice.reason is not None)
    return {
        "sample/ok": len(samples),
        "sample/frames": sum(len(sample.frames) for sample in samples),
        "sample/replies": sum(turn.speaker == "model" for sample in samples for turn in sample.turns),
        **dict(sorted(reasons.items())),
    }


def _reasons(chosen: Sequence[VideoChosen]) -> str:
    reasons = Counter(choice.reason for choice in chosen)
    first = {choice.reason: choice.row for choice in reversed(chosen)}
    return "; ".join(
        f"{count} for {reason}, such as {first[reason].source}, {first[reason].place} ({first[reason].video})"
        for reason, count in reasons.most_common()
    )


def _files(
    context: StageContext,
    decoded: Store,
    outcomes: Mapping[str, Decoded],
    chosen: Sequence[VideoChosen],
    splits: Mapping[str, Sequence[VideoSample]],
    scratch: Path,
) -> Iterator[tuple[str, bytes | Path]]:
    """(path, content) of every part, made one by one."""
    samples = [sample for members in splits.values() for sample in members]
    needed = {sample.shard for sample in samples}
    sheet = shown(sorted(samples, key=lambda sample: sample.id))
    kept = {sample.shard: scratch / hashlib.sha256(sample.shard.encode()).hexdigest() for sample in sheet}
    shards = sorted(
        (outcome for outcome in outcomes.values() if outcome.path in needed), key=lambda outcome: outcome.path or ""
    )
    for done, outcome in enumerate(shards, 1):
        context.check_stop()
        path = outcome.path or ""
        yield path, fetched_file(decoded, path, outcome.sha256, scratch)
        context.reporter.update(done=done, total=len(shards))
    for path in kept:
        fetched_file(decoded, path, next(shard.sha256 for shard in shards if shard.path == path), scratch)
    if sheet:
        yield SHEET, moments_sheet(sheet, lambda sample, at: next(contents(kept[sample.shard], [frame_name(at)])))
    for split, members in splits.items():
        yield f"{split}.jsonl", lines_of(members)
    yield "rows.jsonl", "".join(_told(choice) for choice in chosen).encode()
    yield "README.md", card(chosen, splits, SHEET if sheet else None).encode()


def _told(choice: VideoChosen) -> str:
    row = choice.row
    told = {"id": row.id, "source": row.source, "place": row.place, "video": row.video,
            "outcome": "used" if choice.sample else "skipped", "reason": choice.reason}  # fmt: skip
    return json.dumps(told, ensure_ascii=False) + "\n"
