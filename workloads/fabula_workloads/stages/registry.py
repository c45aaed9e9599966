"""Which function runs a stage: the recipe says it as text. Imported when needed, so that no CPU stage loads torch."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import cast

from fabula_api.named_function import named_function
from fabula_api.recipes import Stage, recipes
from fabula_api.worker import WorkerConfig
from fabula_workloads.runtime.entry import StageFunction
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.runtime.installed import installed_recipe


def find_stage(config: WorkerConfig) -> StageFunction:
    """The function of the config's stage.

    Raises ConfigInvalid for a recipe that is not installed, a stage that its kind does not have, and a function that
    cannot be imported.
    """
    recipe, kind = installed_recipe(config.spec.recipe), config.run.kind
    stages = {stage.name: stage for stage in (*recipe.stages.get(kind, ()), *recipe.dry_run.get(kind, ()))}
    stage = stages.get(config.stage)
    if stage is None:
        raise ConfigInvalid(
            f"{kind} of the recipe {recipe.name} has no stage {config.stage!r}; it has {', '.join(sorted(stages))}"
        )
    try:
        return cast(StageFunction, named_function(stage.runs))
    except Exception as error:  # whatever the recipe's module raises when it is imported
        raise ConfigInvalid(
            f"stage {stage.name} of the recipe {recipe.name} runs {stage.runs}, which this image cannot import: "
            f"{type(error).__name__}: {error}"
        ) from error


def stage_names() -> list[str]:
    """Every stage of the installed recipes, once each."""
    stages: Iterable[Stage] = chain.from_iterable(
        chain(*recipe.stages.values(), *recipe.dry_run.values()) for recipe in recipes().values()
    )
    return list(dict.fromkeys(stage.name for stage in stages))
