"""How a recipe finds an evaluation's samples: what it is given, and what it gives back for each that is taken."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar

from fabula_api.artifact import Manifest
from fabula_api.eval_run import EvalRunSpec
from fabula_workloads.runtime.artifact import require_manifest
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store
from fabula_workloads.samples.sample_set import EvaluationSample
from fabula_workloads.text.file_names import safe_name


@dataclass(frozen=True, slots=True)
class Search:
    """What a finder works with."""

    context: StageContext
    spec: EvalRunSpec
    scratch: Path
    """Folder for files until they are committed."""
    tally: Counter[str] = field(default_factory=Counter)
    """What was left out, as `kind/skipped/Reason`, which the finder counts up."""

    @property
    def uri(self) -> str:
        """Where the samples lie, whether by `samples.uri` or as what the DatasetBuild of `samples.ref` made."""
        return place_of(self.context, self.spec)

    def artifact(self, kind: str) -> tuple[Store, Manifest]:
        """The artifact that lies there. Raises InputInvalid where there is none of that kind, or it is not the one that
        the run was given."""
        if self.spec.samples.ref is not None:
            return self.context.open_artifact("samples", kind)
        store = open_store(self.uri)
        return store, require_manifest(store, kind)


def place_of(context: StageContext, spec: EvalRunSpec) -> str:
    """Absolute URI of a run's samples."""
    samples = spec.samples
    return context.resolve(samples.uri if samples.uri is not None else context.config.input("samples").uri)


@dataclass(frozen=True, slots=True)
class FoundSample:
    """A sample that is taken."""

    record: EvaluationSample
    files: Sequence[tuple[str, bytes | Path]] = ()
    """Parts of the artifact that belong to it: their paths, as the record names them, and content."""


Finder: TypeAlias = Callable[[Search], Sequence[FoundSample]]
"""The samples of one layout, at most `samples.count`, in the order in which they are shown. Which ones depends on the
source and `samples.seed` alone. Raises InputInvalid for a source that is none."""

Item = TypeVar("Item")


def fair_draw(items: Iterable[Item], count: int, seed: int, name: Callable[[Item], str]) -> list[Item]:
    """At most so many of the items, in an order that depends on their names and the seed alone."""
    drawn = sorted(items, key=name)
    random.Random(seed).shuffle(drawn)  # noqa: S311 - a reproducible order, not a secret
    return drawn[:count]


def sample_name(number: int, of: str, digits: int = 5) -> str:
    """A sample's id, by its place in the set and what it was called where it comes from: it is a file's name too."""
    return f"{number:0{digits}d}-{safe_name(of)}"
