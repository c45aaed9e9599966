"""What recipes that make datasets have in common: what became of rows, samples by split, and the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from fabula_api.artifact import Manifest, Part
from fabula_api.details import DatasetDetails
from fabula_api.status import Lineage
from fabula_workloads.recipe_parts.splits import validation_groups
from fabula_workloads.runtime.artifact import commit
from fabula_workloads.runtime.context import StageContext, StageResult

Sample = TypeVar("Sample")
TRAIN, VALIDATION = "train", "validation"


def by_split(
    samples: Iterable[Sample],
    own: Callable[[Sample], str],
    group: Callable[[Sample], str],
    share: float,
    seed: int,
) -> dict[str, list[Sample]]:
    """The samples of each split. `own` names the split of a sample's source; of the others about `share` of the groups
    (films, videos) go to validation, and never one group to both."""
    samples = list(samples)
    free = {group(sample) for sample in samples if own(sample) not in (TRAIN, VALIDATION)}
    validation = validation_groups(free, share, seed)
    splits: dict[str, list[Sample]] = {TRAIN: [], VALIDATION: []}
    for sample in samples:
        named = own(sample)
        drawn = VALIDATION if group(sample) in validation else TRAIN
        splits[named if named in splits else drawn].append(sample)
    return splits


def commit_dataset(
    context: StageContext,
    source: Manifest,
    parts: Sequence[Part],
    counts: Mapping[str, int],
    details: DatasetDetails,
) -> StageResult:
    """Commit a dataset; the stage's result. `source` is the artifact that ingest made of what came from outside."""
    stages = [Lineage(name=given.name, uri=given.uri, digest=given.digest) for given in context.config.inputs]
    manifest = commit(
        context.store,
        kind="dataset",
        key=context.config.key,
        parts=list(parts),
        counts=dict(counts),
        lineage=[*source.lineage, *stages],
        details=details,
        attempt=context.config.attempt,
    )
    return StageResult(
        artifact=manifest,
        uri=context.store.uri,
        counts={name: float(count) for name, count in counts.items()},
        summary=details.summary,
        lineage=manifest.lineage,
    )
