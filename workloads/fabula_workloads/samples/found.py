"""How a recipe finds an evaluation's samples: what it is given, and what it gives back for each that is taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from fabula_api.eval_run import EvalRunSpec
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.samples.sample_set import EvaluationSample


@dataclass(frozen=True, slots=True)
class Search:
    """What a finder works with."""

    context: StageContext
    spec: EvalRunSpec
    scratch: Path
    """Folder for files until they are committed."""
    tally: Counter[str] = field(default_factory=Counter)
    """What was left out, as `kind/skipped/Reason`, which the finder counts up."""


@dataclass(frozen=True, slots=True)
class FoundSample:
    """A sample that is taken."""

    record: EvaluationSample
    files: Sequence[tuple[str, bytes | Path]] = ()
    """Parts of the artifact that belong to it: their paths, as the record names them, and content."""


Finder: TypeAlias = Callable[[Search], Sequence[FoundSample]]
"""The samples of one layout, at most `samples.count`, in the order in which they are shown. Which ones depends on the
source and `samples.seed` alone. Raises InputInvalid for a source that is none."""
