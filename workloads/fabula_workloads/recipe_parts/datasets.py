"""What recipes that make datasets have in common: what became of rows, samples by split, and the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from fabula_api.artifact import Manifest, Part
from fabula_api.details import DatasetDetails
from fabula_api.status import Lineage
from fabula_workloads.recipe_parts.splits import validation_groups
from fabula_workloads.runtime.artifact import commit
from fabula_workloads.runtime.context import StageContext, StageResult

Row = TypeVar("Row")
Sample = TypeVar("Sample")
TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True, slots=True)
class Chosen(Generic[Row, Sample]):
    """A row and what became of it."""

    row: Row
    sample: Sample | None
    reason: str | None = None
    """Why it is no sample; None for one that is."""


class SplitSource(Protocol):
    """A source of rows, as specs have it."""

    @property
    def name(self) -> str: ...
    @property
    def split(self) -> str:
        """`train` or `validation` for all of it; anything else where the draw decides."""


class Draw(Protocol):
    """How much is held out, as specs have it."""

    @property
    def validation(self) -> float: ...
    @property
    def seed(self) -> int: ...


class OfSource(Protocol):
    """What says which source it is of."""

    @property
    def source(self) -> str: ...


Sourced = TypeVar("Sourced", bound=OfSource)


def by_split(
    samples: Iterable[Sourced], sources: Iterable[SplitSource], draw: Draw, group: Callable[[Sourced], str]
) -> dict[str, list[Sourced]]:
    """The samples of each split: their source's own; of the others about the drawn share of the groups (films, videos)
    go to validation, and never one group to both."""
    samples = list(samples)
    split_of = {source.name: source.split for source in sources}
    free = {group(sample) for sample in samples if split_of[sample.source] not in (TRAIN, VALIDATION)}
    validation = validation_groups(free, draw.validation, draw.seed)
    splits: dict[str, list[Sourced]] = {TRAIN: [], VALIDATION: []}
    for sample in samples:
        named = split_of[sample.source]
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
