"""The recipes that are installed, by the entry point group `fabula.recipes`: Fabula's own and other people's alike.

[project.entry-points."fabula.recipes"]
captions = "captions.recipe:CAPTIONS"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from fabula_api.asked import Asked
from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import METRICS, Metric
from fabula_api.recipes.kind_specs import problem_of
from fabula_api.recipes.records import HELD_OUT, Kind, Recipe, Stage

ENTRY_POINTS = "fabula.recipes"
"""Group of the entry points: the name is the recipe's, and the object a `Recipe`."""


class RecipesBroken(Exception):
    """What is installed as a recipe is none, or two have one name. The message names each, and its package."""


@cache
def recipes() -> Mapping[str, Recipe]:
    """All installed recipes by name. Raises RecipesBroken; each program asks once at its start, so that it ends there
    and not in the middle of its work."""
    return load(entry_points(group=ENTRY_POINTS))


def load(found: Iterable[EntryPoint]) -> dict[str, Recipe]:
    """The recipes of these entry points. Raises RecipesBroken with all that is wrong with them."""
    loaded: dict[str, Recipe] = {}
    packages: dict[str, str] = {}
    problems = []
    for point in sorted(found, key=lambda one: (one.name, one.value)):
        package = point.dist.name if point.dist is not None else "an unnamed package"
        if point.name in packages:
            problems.append(f"{point.name}: both {packages[point.name]} and {package} bring it; uninstall one")
            continue
        packages[point.name] = package
        problem, recipe = _loaded(point)
        if recipe is None:
            problems.append(f"{point.name} of {package}: {problem}")
        else:
            loaded[point.name] = recipe
    if problems:
        raise RecipesBroken(f"entry points {ENTRY_POINTS}: " + "; ".join(problems))
    if not loaded:
        raise RecipesBroken(f"entry points {ENTRY_POINTS}: no recipe is installed, not even Fabula's own; reinstall it")
    return loaded


def _loaded(point: EntryPoint) -> tuple[str, Recipe | None]:
    """What is wrong with an entry point, or its recipe."""
    try:
        recipe = point.load()
    except Exception as error:  # whatever somebody else's module raises
        return f"{point.value} cannot be imported: {type(error).__name__}: {error}", None
    if not isinstance(recipe, Recipe):
        return f"{point.value} is a {type(recipe).__name__} and no Recipe", None
    if recipe.name != point.name:
        return f"{point.value} is the recipe {recipe.name}; an entry point has its recipe's name", None
    if foreign := [metric.name for metric in recipe.metrics if not metric.name.startswith(f"{recipe.name}/")]:
        return f"its metric {foreign[0]} must be called {recipe.name}/{foreign[0].rpartition('/')[2]}", None
    if problem := problem_of(recipe):
        return problem, None
    return "", recipe


def stages_of(recipe: str, kind: Kind, dry_run: bool = False) -> tuple[Stage, ...] | None:
    """The stages of a kind under a recipe, in order; None when there is no such recipe or it lacks the kind."""
    found = recipes().get(recipe)
    if found is None:
        return None
    return (found.dry_run if dry_run else found.stages).get(kind)


def metrics_of(recipe: str) -> Mapping[str, Metric]:
    """The metrics by name that an EvalRun of the recipe may ask for: those of Fabula's that read what it offers, and
    its own."""
    found = recipes().get(recipe)
    if found is None:
        return METRICS
    usual = {name: metric for name, metric in METRICS.items() if metric.reads in found.offers}
    return usual | {metric.name: metric for metric in found.metrics}


def default_metrics(recipe: str) -> tuple[str, ...]:
    """Those of a run that names none."""
    known = recipes().get(recipe)
    usual = METRICS.keys() if known is None or known.usual_metrics is None else known.usual_metrics
    return tuple(
        name
        for name, metric in metrics_of(recipe).items()
        if metric.by_default and (name in usual or name not in METRICS)
    )


def unoffered(metric: str, recipe: str) -> str | None:
    """What the metric, which is one of Fabula's, reads and the recipe does not offer; None where that is not why."""
    found = METRICS.get(metric)
    known = recipes().get(recipe)
    return found.reads if found and known and found.reads not in known.offers else None


def sample_format(spec: EvalRunSpec) -> str:
    """The layout of a run's samples: the one it names, else the first that its recipe has."""
    found = recipes().get(spec.recipe)
    return spec.samples.format or (found.sample_formats if found else (HELD_OUT,))[0].name


def asked_of(recipe: str, given: Asked, *, own_prompt: bool) -> Asked:
    """What answers are asked for: what a spec gives, and else what the recipe says of its prompt. Its length does not
    count for a prompt of the spec's own, which may ask for another."""
    found = recipes().get(recipe)
    usual = found.asked if found else Asked()
    return Asked(
        words=given.words or (None if own_prompt else usual.words),
        avoid=usual.avoid if given.avoid is None else given.avoid,
    )
