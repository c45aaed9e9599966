"""The recipe of a run, as this image has it."""

from __future__ import annotations

from fabula_api.recipes import Recipe, broken, recipes
from fabula_workloads.runtime.failures import ConfigInvalid


def installed_recipe(name: str) -> Recipe:
    """Raises ConfigInvalid for one that is not installed here, or cannot be used."""
    if (recipe := recipes().get(name)) is not None:
        return recipe
    unknown = f"recipe {name!r} is not installed in this image; it has {', '.join(sorted(recipes()))}"
    raise ConfigInvalid(broken().get(name, unknown))
