"""The recipes that are installed, by the entry point group `fabula.recipes`: Fabula's own and other people's alike.

[project.entry-points."fabula.recipes"]
captions = "captions.recipe:CAPTIONS"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points, version

from fabula_api.asked import Asked
from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import METRICS, Metric
from fabula_api.recipes.records import HELD_OUT, Kind, Recipe, Stage
from fabula_api.recipes.soundness import problem_of

ENTRY_POINTS = "fabula.recipes"
"""Group of the entry points: the name is the recipe's, and the object a `Recipe`."""


class RecipesBroken(Exception):
    """Nothing can be done with the recipes that are installed. The message names each, and its package."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What the entry points bring."""

    recipes: Mapping[str, Recipe]
    """Those that runs can be made of."""
    broken: Mapping[str, str]
    """By name, a sentence on each of the others: who brings it, what is wrong, and what to do. They touch no run but
    their own."""


@cache
def installed() -> Installed:
    """All that is installed, read once."""
    return load(entry_points(group=ENTRY_POINTS))


def recipes() -> Mapping[str, Recipe]:
    """The installed recipes by name. Raises RecipesBroken where there is none to work with; each program asks once at
    its start, so that it ends there and not in the middle of its work."""
    if not installed().recipes:
        why = "; ".join(installed().broken.values()) or "no recipe is installed, not even Fabula's own; reinstall it"
        raise RecipesBroken(f"entry points {ENTRY_POINTS}: {why}")
    return installed().recipes


def broken() -> Mapping[str, str]:
    """What is wrong with those recipes that are installed and cannot be used: a sentence each, by name."""
    return installed().broken


def load(points: Iterable[EntryPoint]) -> Installed:
    """The recipes of these entry points."""
    by_name: dict[str, list[EntryPoint]] = {}
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        by_name.setdefault(point.name, []).append(point)
    loaded: dict[str, Recipe] = {}
    problems: dict[str, str] = {}
    for name, several in by_name.items():
        packages = " and ".join(
            point.dist.name if point.dist is not None else "an unnamed package" for point in several
        )
        if len(several) > 1:
            problems[name] = f"recipe {name} cannot be used: {packages} bring it; uninstall all of them but one"
            continue
        recipe = _loaded(several[0])
        if isinstance(recipe, Recipe):
            loaded[name] = recipe
        else:
            problems[name] = (
                f"recipe {name} of {packages} cannot be used: {recipe}. Mend or uninstall the package, or install the "
                f"one for Fabula {version('fabula')}, for the command and in the images of operator and workers alike"
            )
    return Installed(loaded, problems)


def _loaded(point: EntryPoint) -> Recipe | str:
    """The recipe of an entry point, or what is wrong with it."""
    try:
        recipe = point.load()
    except (Exception, SystemExit) as error:  # whatever somebody else's module raises
        return f"{point.value} cannot be imported: {type(error).__name__}: {error}"
    if not isinstance(recipe, Recipe):
        return f"{point.value} is a {type(recipe).__name__} and no Recipe"
    if recipe.name != point.name:
        return f"{point.value} is the recipe {recipe.name}; an entry point has its recipe's name"
    try:
        return problem_of(recipe) or recipe
    except Exception as error:  # whatever stands in it in place of what its fields should hold
        return f"{point.value} has fields of other types than a Recipe's: {type(error).__name__}: {error}"


def stages_of(recipe: str, kind: Kind, dry_run: bool = False) -> tuple[Stage, ...] | None:
    """The stages of a kind under a recipe, in order; None when there is no such recipe or it lacks the kind."""
    installed = recipes().get(recipe)
    if installed is None:
        return None
    return (installed.dry_run if dry_run else installed.stages).get(kind)


def metrics_of(recipe: str) -> Mapping[str, Metric]:
    """The metrics by name that an EvalRun of the recipe may ask for: those of Fabula's that read what it offers, and
    its own."""
    installed = recipes().get(recipe)
    if installed is None:
        return METRICS
    usual = {name: metric for name, metric in METRICS.items() if metric.reads in installed.offers}
    return usual | {metric.name: metric for metric in installed.metrics}


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
    metric_record = METRICS.get(metric)
    known = recipes().get(recipe)
    return metric_record.reads if metric_record and known and metric_record.reads not in known.offers else None


def sample_format(spec: EvalRunSpec) -> str:
    """The layout of a run's samples: the one it names, else the first that its recipe has."""
    installed = recipes().get(spec.recipe)
    return spec.samples.format or (installed.sample_formats if installed else (HELD_OUT,))[0].name


def asked_of(recipe: str, given: Asked, *, own_prompt: bool) -> Asked:
    """What answers are asked for: what a spec gives, and else what the recipe says of its prompt. Its length does not
    count for a prompt of the spec's own, which may ask for another."""
    installed = recipes().get(recipe)
    usual = installed.asked if installed else Asked()
    return Asked(
        words=given.words or (None if own_prompt else usual.words),
        avoid=usual.avoid if given.avoid is None else given.avoid,
    )
