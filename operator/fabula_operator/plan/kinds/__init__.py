"""What each kind adds to the common status, and what it says when it has ended."""

from collections.abc import Mapping
from typing import Any

from fabula_api.recipes import API_KINDS, Kind
from fabula_operator.plan.kinds.dataset_build import DatasetBuildKind
from fabula_operator.plan.kinds.eval_run import EvalRunKind
from fabula_operator.plan.kinds.fine_tune_run import FineTuneRunKind
from fabula_operator.plan.kinds.kind import RunKind
from fabula_operator.plan.status.conditions import TYPES

KINDS: Mapping[Kind, RunKind[Any, Any]] = {
    "DatasetBuild": DatasetBuildKind(),
    "FineTuneRun": FineTuneRunKind(),
    "EvalRun": EvalRunKind(),
}
CONDITION_TYPES: tuple[str, ...] = (
    *TYPES,
    *(type_ for kind in API_KINDS.values() for type_ in kind.status.own_conditions),
)
"""Types of all conditions: those of every kind, then each kind's own."""

__all__ = ["CONDITION_TYPES", "KINDS", "RunKind"]
