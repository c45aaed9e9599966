"""Which function runs a stage. Named as text and imported when needed, so that no CPU stage ever loads torch."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from fabula_api.recipes import Kind
from fabula_api.worker import WorkerConfig
from fabula_workloads.runtime.entry import StageFunction
from fabula_workloads.runtime.failures import ConfigInvalid

STAGES: dict[tuple[Kind, str], str] = {
    ("DatasetBuild", "resolve"): "fabula_workloads.stages.resolve:run",
    ("FineTuneRun", "resolve"): "fabula_workloads.stages.resolve:run",
    ("EvalRun", "resolve"): "fabula_workloads.stages.resolve:run",
    ("DatasetBuild", "ingest"): "fabula_workloads.stages.ingest:run",
    ("DatasetBuild", "estimate"): "fabula_workloads.stages.estimate:run",
    ("DatasetBuild", "extract"): "fabula_workloads.stages.extract:run",
    ("DatasetBuild", "illustrate"): "fabula_workloads.stages.illustrate:run",
    ("DatasetBuild", "assemble"): "fabula_workloads.stages.assemble:run",
    ("FineTuneRun", "train"): "fabula_workloads.stages.train:run",
    ("EvalRun", "select"): "fabula_workloads.stages.select:run",
    ("EvalRun", "infer"): "fabula_workloads.stages.infer:run",
    ("EvalRun", "score"): "fabula_workloads.stages.score:run",
}


def find_stage(config: WorkerConfig) -> StageFunction:
    """The function of the config's stage. Raises ConfigInvalid for a stage that its kind does not have."""
    target = STAGES.get((config.run.kind, config.stage))
    if target is None:
        names = sorted(stage for kind, stage in STAGES if kind == config.run.kind)
        raise ConfigInvalid(f"{config.run.kind} has no stage {config.stage!r}; it has {', '.join(names)}")
    module, _, function = target.partition(":")
    return cast(StageFunction, getattr(import_module(module), function))
