"""`report.html`: one page without scripts and without requests, in light, dark and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from fabula_api.metrics import PROFILES, ProfileName
from fabula_api.status import Lineage
from fabula_workloads.metrics.bootstrap import RESAMPLES
from fabula_workloads.metrics.brought import brought
from fabula_workloads.metrics.evaluation import Evaluation
from fabula_workloads.report.answers_shown import answers_shown
from fabula_workloads.report.judges import judges
from fabula_workloads.report.markup import Markup, join, tag, void
from fabula_workloads.report.parts import PLAIN, ReportParts, Section, Told
from fabula_workloads.report.sections import charts, clip_control, gates, origins, remarks, self_tests, table
from fabula_workloads.report.verdict import verdict

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Even markup that slipped through could neither run nor ask a server."""


def page(
    told: Told, *, name: str, lineage: Sequence[Lineage], settings: dict[str, Any], parts: ReportParts = PLAIN
) -> str:
    """The page. `name` is the run's; `parts` are the recipe's."""
    head = tag(
        "head",
        void("meta", charset="utf-8"),
        void("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="referrer", content="no-referrer"),
        tag("title", f"Evaluation {name}"),
        tag("style", Markup(files(__package__).joinpath("page.css").read_text())),
    )
    body = tag("main", *_parts(told, name, lineage, settings, parts))
    return f"{tag('html', head, tag('body', body), lang='en')}\n"


def _parts(
    told: Told, name: str, lineage: Sequence[Lineage], settings: dict[str, Any], parts: ReportParts
) -> list[Markup]:
    evaluation = told.evaluation
    first, *others = evaluation.profiles
    interval = f"Intervals are 95 % bootstrap intervals over {parts.items} ({RESAMPLES:,} resamples)"
    return [
        tag("p", "Evaluation", class_="eyebrow"),
        tag("h1", name),
        tag("p", verdict(evaluation, told.judged), class_="verdict"),
        tag("p", _lead(evaluation, len(told.samples), parts), class_="lead"),
        _notices(evaluation),
        gates(evaluation),
        tag("h2", "At a glance"),
        tag(
            "p",
            f"A faint dot is one {parts.item}, a strong dot an arm's mean. {interval}. Profile {first}.",
            class_="hint",
        ),
        charts(evaluation),
        tag("h2", "Figures"),
        tag(
            "p",
            f"{_about(first, parts)} {interval}. p-values are by permutation, corrected for how many there are (Holm);"
            " a bold difference is below 0.05, and d is its size in standard deviations.",
            class_="hint",
        ),
        table(evaluation, first),
        *(_other_profile(evaluation, profile, parts) for profile in others),
        clip_control(evaluation),
        remarks(evaluation),
        judges(told.judged),
        *(_section(section, told) for section in parts.sections if section.figures),
        tag("h2", parts.items.capitalize()),
        tag("p", parts.about_items, class_="hint"),
        answers_shown(told, parts),
        *(_section(section, told) for section in parts.sections if not section.figures),
        tag("h2", "Self-tests"),
        tag(
            "p",
            "A metric that cannot fail proves nothing, so each was tried on texts it must tell apart.",
            class_="hint",
        ),
        self_tests(evaluation),
        tag("h2", "Where it comes from"),
        origins(lineage, settings),
        tag("footer", "Made by Fabula. Answers and pictures may be under the terms of their sources."),
    ]


def _section(section: Section, told: Told) -> Markup:
    with brought(f"section {section.title!r} in the report of the recipe {told.recipe}"):
        content = section.content(told)
    return join(tag("h2", section.title), tag("p", section.hint, class_="hint"), content)


def _lead(evaluation: Evaluation, num_samples: int, parts: ReportParts) -> str:
    seeds = len({m.answer.seed for m in evaluation.answers})
    *most, last = (arm.name for arm in evaluation.arms)
    arms = f"{', '.join(most)} and {last}" if most else last
    several = f", {seeds} answers each" if seeds > 1 else ""
    asked = f"1 {parts.item}" if num_samples == 1 else f"{num_samples} {parts.items}"
    compared = f" The baseline is {evaluation.baseline}." if most else ""
    return f"{arms}, asked about {asked}{several}.{compared}"


def _notices(evaluation: Evaluation) -> Markup:
    notices = []
    if evaluation.clip and evaluation.clip.random_weights:
        notices.append(
            f"CLIPScore was computed with {evaluation.clip.model}, whose weights are random: it shows that the metric "
            "runs, and says nothing about the texts."
        )
    if broken := [test for test in evaluation.self_tests if not test.passed and not test.known_defect]:
        names = ", ".join(sorted({test.metric for test in broken}))
        notices.append(f"These metrics failed a self-test, and no gate rests on them: {names}.")
    for arm in evaluation.arms:
        if arm.failed:
            answers = "1 answer" if arm.failed == 1 else f"{arm.failed} answers"
            are = "is" if arm.failed == 1 else "are"
            notices.append(f"{answers} of {arm.name} could not be generated and {are} in no figure.")
    return join(*(tag("p", notice, class_="notice") for notice in notices))


def _about(profile: ProfileName, parts: ReportParts) -> str:
    return " ".join(filter(None, (PROFILES[profile].about, parts.about_profiles.get(profile))))


def _other_profile(evaluation: Evaluation, profile: ProfileName, parts: ReportParts) -> Markup:
    return tag(
        "details",
        tag("summary", f"The same under profile {profile}"),
        tag("p", _about(profile, parts), class_="hint", style="margin-top: 10px"),
        table(evaluation, profile),
    )
