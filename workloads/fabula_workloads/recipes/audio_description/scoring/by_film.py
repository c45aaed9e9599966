"""Figures film by film: a mean over films weighs each alike, where the usual one weighs each clip alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean

from fabula_api.metrics import Metric
from fabula_workloads.metrics.evaluation import ArmFigures
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.report.markup import Markup, join, tag
from fabula_workloads.report.parts import Told

FILMS = 200
"""At most so many rows."""


def film_means(told: Told, arm: ArmFigures, metric: Metric) -> Mapping[str, float]:
    """The mean of each film that has a figure."""
    figures: dict[str, list[float]] = defaultdict(list)
    for name, figure in arm.samples.get((told.evaluation.profile, metric.name), {}).items():
        sample = told.samples.get(name)
        if isinstance(sample, NarrationEvaluationSample):
            figures[sample.film].append(figure)
    return {film: fmean(found) for film, found in figures.items()}


def by_film(told: Told) -> Markup:
    """For each metric the mean over films of their means (macro), and each film's own."""
    arms = told.evaluation.arms
    head = tag("tr", *(tag("th", name) for name in ("", *(arm.name for arm in arms))))
    macro: list[Markup] = []
    tables: list[Markup] = []
    for metric in told.evaluation.metrics_under(told.evaluation.profile):
        means = [film_means(told, arm, metric) for arm in arms]
        films = list(dict.fromkeys(film for one in means for film in one))
        if not films:
            continue
        overall = [fmean(one.values()) if one else None for one in means]
        macro.append(_row(metric.title, overall, metric.shown))
        rows = [_row(film, [one.get(film) for one in means], metric.shown) for film in films[:FILMS]]
        table = tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="scroll")
        tables.append(tag("details", tag("summary", f"{metric.title}, {len(films)} films"), table))
    whole = tag("div", tag("table", tag("thead", head), tag("tbody", *macro)), class_="card scroll")
    return join(whole, *tables) if macro else tag("p", "No film has a figure.", class_="hint")


def _row(title: str, figures: list[float | None], shown: str) -> Markup:
    cells = [tag("td", "–" if one is None else f"{one:{shown}}", class_="number") for one in figures]
    return tag("tr", tag("th", title), *cells)
