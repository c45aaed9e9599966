"""Stages that run once for each entry of a list in the spec: its arms, or its judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from fabula_api.arms import Arm
from fabula_api.base import value_at
from fabula_api.judges import Judge
from fabula_api.recipes import Stage
from fabula_api.specs import Spec

Entry: TypeAlias = Arm | Judge


def entries(stage: Stage, spec: Spec) -> Sequence[Entry]:
    """The entries for each of which a stage runs; nothing for a stage that runs once."""
    if stage.for_each is None:
        return ()
    listed: Sequence[Entry] = value_at(spec, stage.for_each)
    return listed


def instance(stage: str, entry: str | None) -> str:
    """Name of a stage in a status, where it runs for an entry with that as well."""
    return stage if entry is None else f"{stage}/{entry}"
