"""The figures of the report: gates, charts, the table with intervals, self-tests, origins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fabula_api.judging import figure_title
from fabula_api.metrics import Metric, ProfileName
from fabula_api.status import Lineage
from fabula_workloads.metrics.bootstrap import Estimate
from fabula_workloads.metrics.evaluation import Difference, Evaluation
from fabula_workloads.metrics.gates import bound
from fabula_workloads.metrics.records import Tried
from fabula_workloads.report.charts import Row, chart
from fabula_workloads.report.markup import Markup, badge, join, tag
from fabula_workloads.report.outcome_bars import outcome_bars

_DASH = "–"
_MINUS = "−"


def gates(evaluation: Evaluation) -> Markup:
    """One card for each gate; nothing without gates."""
    cards = []
    known = {metric.name: metric for metric in evaluation.metrics}
    for gate, status in evaluation.gates:
        metric = known.get(gate.metric)
        versus = f" against {gate.versus}" if gate.versus else ""
        value = _DASH
        if status.value is not None and metric is not None:
            value = _written(metric, status.value, signed=gate.versus is not None)
        elif status.value is not None:  # a judge's figure
            value = f"{status.value:.2f}"
        title = metric.title if metric is not None else figure_title(gate.metric)
        cards.append(
            tag(
                "div",
                badge("gate passed", "good") if status.passed else badge("gate failed", "bad"),
                tag("div", value, class_="value"),
                tag("div", f"{title} of {gate.arm}{versus}, asked for {bound(gate)}", class_="what"),
                tag("div", f"Why: {status.reason}", class_="what") if status.reason else None,
                class_="card gate passed" if status.passed else "card gate",
            )
        )
    return tag("div", *cards, class_="gates") if cards else Markup("")


def charts(evaluation: Evaluation) -> Markup:
    """How the answers ended, and a chart for each metric of the first profile."""
    # What the figures are read for comes first.
    ordered = sorted(evaluation.metrics_under(evaluation.profile), key=lambda metric: not metric.headline)
    measured = [
        metric for metric in ordered if any(arm.means[evaluation.profile, metric.name].count for arm in evaluation.arms)
    ]
    rest = ", ".join(metric.title for metric in ordered if metric not in measured)
    more = f"Without a figure, for reasons that stand in the table: {rest}."
    return join(
        tag("div", _outcomes(evaluation), *(_chart(evaluation, metric) for metric in measured), class_="charts"),
        tag("p", more, class_="hint", style="margin-top: 14px") if rest else None,
    )


def _outcomes(evaluation: Evaluation) -> Markup:
    caption = tag("figcaption", tag("h3", "Answers"), tag("span", "how the answers of each arm ended", class_="under"))
    return tag("figure", caption, outcome_bars(evaluation), class_="card wide")


def _chart(evaluation: Evaluation, metric: Metric) -> Markup:
    key = (evaluation.profile, metric.name)
    rows = [
        Row(arm.name, index % 8, arm.means[key], list(arm.samples[key].values()))
        for index, arm in enumerate(evaluation.arms)
    ]
    label = _random_label(evaluation, metric)
    caption = tag("figcaption", tag("h3", metric.title, label), tag("span", metric.unit, class_="under"))
    return tag("figure", caption, Markup(chart(rows, metric.shown, metric.title)), class_="card")


def table(evaluation: Evaluation, profile: ProfileName) -> Markup:
    """Means and paired differences of one profile, with their 95 % intervals."""
    arms = evaluation.arms
    others = [arm for arm in arms if arm.name != evaluation.baseline]
    head = tag(
        "tr",
        tag("th", "Metric"),
        *(tag("th", tag("span", class_=f"key k{index % 8}"), arm.name) for index, arm in enumerate(arms)),
        *(tag("th", f"{arm.name} {_MINUS} {evaluation.baseline}") for arm in others),
    )
    rows = [
        tag(
            "tr",
            tag("th", metric.title, _random_label(evaluation, metric), tag("span", metric.unit)),
            *(_cell(metric, arm.means[key], arm.lacking.get(key)) for arm in arms),
            *(_difference(metric, evaluation.difference(profile, arm.name, metric.name)) for arm in others),
        )
        for metric in evaluation.metrics_under(profile)
        for key in [(profile, metric.name)]
    ]
    unread = tag(
        "tr",
        tag("th", "Unparseable", tag("span", evaluation.form.unreadable)),
        *(tag("td", f"{arm.unparseable[profile]} of {arm.done}", class_="number") for arm in arms),
        *(tag("td") for _ in others),
    )
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows, unread)), class_="card scroll")


def _cell(metric: Metric, estimate: Estimate, reason: str | None) -> Markup:
    """A mean with its interval, or why there is none."""
    if estimate.mean is None:
        return tag("td", _DASH, tag("span", reason, class_="worth") if reason else None, class_="number")
    interval = None
    if estimate.low is not None and estimate.high is not None:
        interval = tag(
            "span", f"{_written(metric, estimate.low)} to {_written(metric, estimate.high)}", class_="interval"
        )
    return tag("td", tag("span", _written(metric, estimate.mean)), interval, class_="number")


def _difference(metric: Metric, against: Difference | None) -> Markup:
    """Mean difference, its interval, and what it is worth; or why there is none."""
    if against is None or against.estimate.mean is None:
        return tag("td", _DASH, tag("span", against.reason, class_="worth") if against else None, class_="number")
    estimate, paired = against.estimate, against.paired
    shown = tag("strong" if paired.seen else "span", _written(metric, estimate.mean or 0.0, signed=True))
    if estimate.low is None or estimate.high is None:
        return tag("td", shown, class_="number")
    low, high = (_written(metric, value, signed=True) for value in (estimate.low, estimate.high))
    worth = [_p_value(paired.adjusted)] if paired.adjusted is not None else []
    if paired.effect is not None:
        worth.append(f"d {paired.effect:.2f}".replace("-", _MINUS))
    if not paired.seen and paired.needed is not None:
        worth.append(f"{paired.needed:,} samples would show it")
    return tag(
        "td", shown, tag("span", f"{low} to {high}", class_="interval"),
        tag("span", ", ".join(worth), class_="worth"), class_="number clear" if paired.seen else "number",
    )  # fmt: skip


def _p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def self_tests(evaluation: Evaluation) -> Markup:
    """What each metric was tried with; failures first."""
    tests = sorted(evaluation.self_tests, key=lambda test: (test.passed, test.known_defect))
    titles = {metric.name: metric.title for metric in evaluation.metrics}
    items = [_self_test(test, titles[test.metric]) for test in tests]
    return tag("ul", *items, class_="card tests", style="padding: 4px 20px")


def _self_test(test: Tried, title: str) -> Markup:
    state = (
        badge("passed", "good") if test.passed
        else badge("known defect", "warn") if test.known_defect
        else badge("failed", "bad")
    )  # fmt: skip
    text = tag("span", f"{title} ({test.profile}) {test.what}: ", tag("span", test.message, class_="plain"))
    return tag("li", tag("span", state), text)


def origins(lineage: Sequence[Lineage], settings: dict[str, Any]) -> Markup:
    """Inputs by digest, and the settings that decided the answers."""
    entries: list[Markup] = []
    for entry in lineage:
        shown = join(tag("code", entry.digest or "no digest"), " ", tag("span", entry.uri or "", class_="plain"))
        entries += [tag("dt", entry.name), tag("dd", shown)]
    for name, value in settings.items():
        entries += [tag("dt", name), tag("dd", str(value))]
    return tag("dl", *entries)


def clip_control(evaluation: Evaluation) -> Markup:
    """The control of CLIPScore for each arm, in a sentence; nothing where there is none."""
    controls = [
        f"{arm.name} {arm.control:.2f} on other samples' pictures, {arm.coverage:.0%} of pictures covered"
        for arm in evaluation.arms
        if arm.control is not None and arm.coverage is not None
    ]
    if not controls:
        return Markup("")
    return tag("p", f"CLIPScore's shuffled control: {'; '.join(controls)} (chance is 5 %).", class_="hint")


def remarks(evaluation: Evaluation) -> Markup:
    """What metrics over a whole evaluation have to say of each arm beside their figures."""
    titles = {metric.name: metric.title for metric in evaluation.metrics}
    said_of = [
        (titles[figures.metric], "; ".join(f"{arm} {remark}" for arm, remark in said.items()))
        for figures in evaluation.computed
        if (said := getattr(figures, "remarks", None))
    ]
    return join(*(tag("p", f"{title}: {said}.", class_="hint") for title, said in said_of))


def _random_label(evaluation: Evaluation, metric: Metric) -> Markup | None:
    label = evaluation.label(metric)
    return join(" ", badge(label, "warn")) if label else None


def _written(metric: Metric, value: float, *, signed: bool = False) -> str:
    return format(value, ("+" if signed else "") + metric.shown).replace("-", _MINUS)
