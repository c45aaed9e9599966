"""The samples themselves: pictures in order, and below them what each arm said, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fabula_workloads.metrics.answers import Measured
from fabula_workloads.report.filters import bar, classes, filters
from fabula_workloads.report.judges import reasons
from fabula_workloads.report.markup import Markup, badge, join, tag, void
from fabula_workloads.report.parts import ReportParts, Told


def answers_shown(told: Told, parts: ReportParts) -> Markup:
    """A card for each sample."""
    by_sample: dict[str, list[Measured]] = {sample: [] for sample in told.samples}
    for measured in told.evaluation.answers:
        by_sample[measured.answer.sample].append(measured)
    order = {arm.name: index for index, arm in enumerate(told.evaluation.arms)}
    chosen = filters(told)
    cards = []
    for number, (sample, answers) in enumerate(by_sample.items(), 1):
        ordered = sorted(answers, key=lambda m: (order[m.answer.arm], m.answer.seed))
        cards.append(_card(told, parts, number, sample, ordered, order, classes(chosen, sample)))
    return join(bar(chosen, len(cards)), *cards)


def _card(
    told: Told,
    parts: ReportParts,
    number: int,
    sample: str,
    answers: Sequence[Measured],
    order: Mapping[str, int],
    kinds: str,
) -> Markup:
    several = len({m.answer.seed for m in answers}) > 1
    pictures = [
        void("img", src=uri, alt=f"Picture {index} of {parts.item} {number}", decoding="async")
        for index, uri in enumerate(told.pictures.get(sample, ()), 1)
    ]
    return tag(
        "article",
        tag("header", tag("h3", f"{parts.item.capitalize()} {number}"), tag("span", sample, class_="mono plain")),
        tag("div", *pictures, class_="pictures") if pictures else None,
        parts.asked(told.samples[sample]),
        tag("div", *(_answer(told, parts, m, order[m.answer.arm], several) for m in answers), class_="answers"),
        reasons(told.judged, sample),
        class_=f"card sample {kinds}".strip(),
    )


def _answer(told: Told, parts: ReportParts, measured: Measured, index: int, several: bool) -> Markup:
    answer = measured.answer
    heading = tag("h4", answer.arm + (f" · seed {answer.seed}" if several else ""))
    if answer.text is None:
        facts, body = [badge(f"not generated: {answer.reason}", "bad")], Markup("")
    else:
        facts = _facts(told, parts, measured, answer.text)
        body = tag("div", parts.shown(answer.text), class_="dialogue", tabindex="0")
    return tag("section", tag("div", heading, *facts, class_="facts"), body, class_=f"answer a{index % 8}")


def _facts(told: Told, parts: ReportParts, measured: Measured, text: str) -> list[Markup]:
    readable = measured.parseable[told.evaluation.profile]
    facts = []
    if not readable:
        facts.append(badge("unparseable", "bad"))
    elif measured.violation is not None:
        facts.append(badge(told.evaluation.form.flaws[measured.violation], "warn"))
    elif told.evaluation.form.keeps is not None:
        facts.append(badge(told.evaluation.form.keeps, "good"))
    if measured.answer.finish == "length":
        facts.append(badge("cut at the token limit"))
    counted = parts.counted(text) if readable else f"{measured.answer.tokens} tokens"
    return [*facts, tag("span", counted, class_="plain")]
