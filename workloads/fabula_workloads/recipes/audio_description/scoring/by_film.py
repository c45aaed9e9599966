"""Means over clips and over films: a film of many clips weighs more in the one, and as much as any in the other.

CRITIC and R@k/N are published so: CRITIC as the mean over clips of all titles, R@k/N as the mean over films of the mean
over their windows, in which a clip counts as often as it is in one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fabula_api.metrics import Metric
from fabula_api.recipes.audio_description.measures import CRITIC_METRIC, NEIGHBOURS
from fabula_api.recipes.audio_description.tell import AudioDescriptionEvalSpec
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.recipes.audio_description.scoring.neighbours import Windows, over_films, windows
from fabula_workloads.recipes.audio_description.scoring.titles import title_of
from fabula_workloads.report.markup import Markup, tag
from fabula_workloads.report.parts import Told


@dataclass(frozen=True, slots=True)
class FilmMean:
    """A metric's mean over the clips of a film that have a figure, or of a title."""

    film: str
    clips: int
    mean: float | None


@dataclass(frozen=True, slots=True)
class Means:
    """An arm's figures of a metric."""

    arm: str
    profile: str
    metric: Metric
    over_clips: float | None
    films: Sequence[FilmMean]

    @property
    def over_films(self) -> float | None:
        """The mean over films that have one."""
        return over_films([film.mean for film in self.films])


def means(told: Told) -> Iterator[Means]:
    """Of every arm, profile and metric."""
    evaluation = told.evaluation
    samples = [sample for sample in told.samples.values() if isinstance(sample, NarrationEvaluationSample)]
    for profile in evaluation.profiles:
        for metric in evaluation.metrics_under(profile):
            for arm in evaluation.arms:
                figures = arm.samples.get((profile, metric.name), {})
                films = list(_films(told, profile, metric, samples, figures))
                yield Means(arm.name, profile, metric, over_films(list(figures.values())), films)


def _films(
    told: Told,
    profile: str,
    metric: Metric,
    samples: Sequence[NarrationEvaluationSample],
    figures: Mapping[str, float],
) -> Iterator[FilmMean]:
    groups: dict[str, list[NarrationEvaluationSample]] = {}
    for sample in samples:
        name = title_of(sample) if metric.name == CRITIC_METRIC else sample.film
        groups.setdefault(name, []).append(sample)
    for film, clips in groups.items():
        ordered = sorted(clips, key=lambda sample: (sample.start, sample.id))
        weights = [1] * len(ordered)
        if metric.name == NEIGHBOURS and isinstance(told.spec, AudioDescriptionEvalSpec):
            asked = told.spec.audio_description.neighbours
            which: Windows = "published" if profile == "paper-v1" else asked.windows
            shown = [clip for window in windows(len(ordered), asked.clips, which) for clip in window]
            weights = [shown.count(place) for place in range(len(ordered))]
        known = [
            (figures[sample.id], weight)
            for sample, weight in zip(ordered, weights, strict=True)
            if sample.id in figures
        ]
        whole = sum(weight for _, weight in known)
        mean = sum(figure * weight for figure, weight in known) / whole if whole else None
        yield FilmMean(film, len(known), mean)


def films_csv(told: Told) -> bytes:
    """`films.csv`: a row for each film; `(clips)` has the mean over clips, `(films)` that over films."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["profile", "metric", "arm", "film", "clips", "mean"])
    for figure in means(told):
        start = [figure.profile, figure.metric.name, figure.arm]
        clips = sum(film.clips for film in figure.films)
        rows = [("(clips)", clips, figure.over_clips), ("(films)", clips, figure.over_films)]
        rows += [(film.film, film.clips, film.mean) for film in figure.films]
        writer.writerows([*start, name, count, "" if mean is None else repr(mean)] for name, count, mean in rows)
    return buffer.getvalue().encode()


def films_table(told: Told) -> Markup:
    """Both means of every metric and arm under the report's own profile."""
    shown = [figure for figure in means(told) if figure.profile == told.evaluation.profile]
    rows = [
        tag(
            "tr", tag("th", figure.metric.title), tag("td", figure.arm),
            *(tag("td", "\N{EN DASH}" if mean is None else format(mean, figure.metric.shown), class_="number")
              for mean in (figure.over_clips, figure.over_films)),
            tag("td", str(sum(film.mean is not None for film in figure.films)), class_="number"),
        )
        for figure in shown
    ]  # fmt: skip
    head = tag("tr", *(tag("th", name) for name in ("Figure", "Arm", "Over clips", "Over films", "Films")))
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="card scroll")
