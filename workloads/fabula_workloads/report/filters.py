"""Which samples decide: filters over the cards, by radio buttons and style alone, so that the page needs no script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fabula_workloads.metrics.evaluation import ArmFigures, Evaluation
from fabula_workloads.report.markup import Markup, join, tag, void
from fabula_workloads.report.parts import Told
from fabula_workloads.report.verdict import in_sentence

_LARGEST = 10
"""Samples of a filter for the largest differences."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Samples that have something in common."""

    name: str
    """A word for its class."""
    title: str
    samples: frozenset[str]


def filters(told: Told) -> list[Filter]:
    """Those that leave some samples out and some in."""
    evaluation = told.evaluation
    offered = [
        Filter("judges", "judges disagree", _disagreed(told)),
        Filter("lost", "no readable answer", _of(evaluation, lost=True)),
        Filter("broken", "breaks a rule", _of(evaluation, lost=False)),
    ]
    base = next(arm for arm in evaluation.arms if arm.name == evaluation.baseline)
    for number, metric in enumerate(evaluation.metrics_under(evaluation.profile)):
        samples = _largest(evaluation, base, metric.name)
        offered.append(Filter(f"m{number}", f"largest differences in {in_sentence(metric.title)}", samples))
    return [offer for offer in offered if 0 < len(offer.samples) < len(told.samples)]


def classes(filters: list[Filter], sample: str) -> str:
    """Classes of a sample's card."""
    return " ".join(f"in-{kept.name}" for kept in filters if sample in kept.samples)


def bar(filters: list[Filter], total: int) -> Markup:
    """The buttons, with the style that hides what is not asked for; nothing where there is nothing to choose."""
    if not filters:
        return Markup("")
    style = "".join(f"main:has(#show-{f.name}:checked) .sample:not(.in-{f.name}){{display:none}}" for f in filters)
    buttons = [_button("all", f"all {total}", checked=True)]
    buttons += [_button(kept.name, f"{kept.title} ({len(kept.samples)})") for kept in filters]
    # Names are ours, so the style holds no foreign text.
    return join(tag("style", Markup(style)), tag("fieldset", tag("legend", "Show"), *buttons, class_="filters"))


def _button(name: str, title: str, *, checked: bool = False) -> Markup:
    more: Mapping[str, str] = {"checked": "checked"} if checked else {}
    return tag("label", void("input", type="radio", name="show", id=f"show-{name}", **more), tag("span", title))


def _of(evaluation: Evaluation, *, lost: bool) -> frozenset[str]:
    profile = evaluation.profile
    return frozenset(
        m.answer.sample
        for m in evaluation.answers
        if (lost and not m.parseable.get(profile, False)) or (not lost and m.violation and m.parseable.get(profile))
    )


def _largest(evaluation: Evaluation, base: ArmFigures, metric: str) -> frozenset[str]:
    key = (evaluation.profile, metric)
    sizes: dict[str, float] = {}
    for arm in evaluation.arms:
        for sample in arm.samples[key].keys() & base.samples[key].keys():
            sizes[sample] = max(sizes.get(sample, 0.0), abs(arm.samples[key][sample] - base.samples[key][sample]))
    ranked = sorted((sample for sample, size in sizes.items() if size > 0), key=lambda sample: (-sizes[sample], sample))
    return frozenset(ranked[:_LARGEST])


def _disagreed(told: Told) -> frozenset[str]:
    """Samples on which two judges, or one judge's seeds, prefer different arms."""
    seen: dict[tuple[str, str, str], set[bool]] = {}
    for judge in told.judged.judges:
        for pair in judge.pairs:
            for verdict in pair.verdicts:
                if verdict.value is not None and verdict.value != 0.5:
                    seen.setdefault((verdict.sample, pair.arm, pair.versus), set()).add(verdict.value > 0.5)
    return frozenset(sample for (sample, _, _), sides in seen.items() if len(sides) > 1)
