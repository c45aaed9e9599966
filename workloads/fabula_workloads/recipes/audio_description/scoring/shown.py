"""Narration in the report: what came before a clip, its reference, who is named, and which sentences do not fit."""

from __future__ import annotations

from fabula_workloads.recipes.audio_description.annotations.names import named_in
from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.recipes.audio_description.scoring.names import names_of
from fabula_workloads.recipes.audio_description.scoring.pace import COMFORTABLE, words_per_minute
from fabula_workloads.recipes.audio_description.scoring.published import narrated
from fabula_workloads.recipes.audio_description.scoring.subtitles import unit_seconds
from fabula_workloads.report.markup import Markup, badge, join, tag
from fabula_workloads.report.parts import Told
from fabula_workloads.samples.sample_set import EvaluationSample

_SHOWN = 20


def asked(sample: EvaluationSample) -> Markup:
    """Where a clip stands, what was said before it, and what a person said there."""
    if not isinstance(sample, NarrationEvaluationSample):
        return Markup("")
    told = [("Clip", f"{sample.film}, {sample.start:g} to {sample.end:g} as annotated")]
    told += [("Before", sample.previous.text)] if sample.previous else []
    told += [("Reference", sample.reference)]
    if names := sorted(names_of(sample)):
        told.append(("May be seen", ", ".join(names)))
    return tag("dl", *(tag(kind, text) for name, said in told for kind, text in (("dt", name), ("dd", said))))


def names_found(told: Told) -> Markup:
    """For each arm whom it names, whom it misses, and whom it names without the reference doing so."""
    rows = [
        tag("tr", tag("th", arm.name), *(tag("td", str(count), class_="number") for count in _counts(told, arm.name)))
        for arm in told.evaluation.arms
    ]
    head = tag("tr", *(tag("th", name) for name in ("Arm", "Named", "Missed", "Named without the reference")))
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="card scroll")


def names_line(sample: NarrationEvaluationSample, said: str) -> Markup | None:
    """Whom a sentence names, whom it misses, and whom it names without the reference doing so; None where nobody is
    named anywhere."""
    names = names_of(sample)
    meant, spoken = named_in(sample.reference, names) | frozenset(sample.named), named_in(said, names)
    kinds = (("good", spoken & meant, "named"), ("bad", meant - spoken, "missed"), ("warn", spoken - meant, "added"))
    badges = [badge(f"{name} {word}", kind) for kind, whom, word in kinds for name in sorted(whom)]
    return tag("div", *badges) if badges else None


def _counts(told: Told, arm: str) -> tuple[int, int, int]:
    """Characters named, missed and added by an arm."""
    named = missed = added = 0
    for sample, said in narrated(told, arm):
        names = names_of(sample)
        meant, spoken = named_in(sample.reference, names) | frozenset(sample.named), named_in(said, names)
        named += len(spoken & meant)
        missed += len(meant - spoken)
        added += len(spoken - meant)
    return named, missed, added


def too_fast(told: Told) -> Markup:
    """Sentences that would have to be spoken faster than listeners follow with ease, the fastest first."""
    unit, fast = unit_seconds(told), list[tuple[float, str, str, str]]()
    for arm in told.evaluation.arms:
        for sample, said in narrated(told, arm.name):
            pace = words_per_minute(said, unit * (sample.end - sample.start))
            if pace is not None and pace > COMFORTABLE:
                fast.append((pace, arm.name, sample.id, said))
    fast.sort(key=lambda sentence: (-sentence[0], sentence[1:]))
    if not fast:
        return tag("p", "Every sentence fits its clip.", class_="hint")
    items = [
        tag("li", tag("b", f"{pace:.0f} words a minute"), f" {arm}, {sample}: {said}")
        for pace, arm, sample, said in fast[:_SHOWN]
    ]
    more = tag("p", f"{len(fast) - _SHOWN} more.", class_="hint") if len(fast) > _SHOWN else None
    return join(tag("ul", *items, class_="card tests", style="padding: 4px 20px"), more)
