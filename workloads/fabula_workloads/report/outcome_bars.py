"""How each arm's answers ended, one bar an arm: what keeps its recipe's rules, what breaks one, what cannot be read."""

from __future__ import annotations

from fabula_workloads.metrics.evaluation import ArmFigures, Evaluation
from fabula_workloads.report.charts import BESIDE
from fabula_workloads.report.markup import Markup, tag

_OTHERS = (("broke", "breaks a rule"), ("unread", "unparseable"), ("missing", "not generated"))


def outcome_bars(evaluation: Evaluation) -> Markup:
    """Bars of one length with the counts in them, and a legend of what occurs."""
    kinds = (("kept", evaluation.form.keeps or "answered"), *_OTHERS)
    counted = {arm.name: _counts(arm, evaluation) for arm in evaluation.arms}
    above = any(len(name) > BESIDE for name in counted)
    rows = [
        tag(
            "div",
            tag("span", name, class_="label"),
            tag("div", *map(_segment, kinds, counts), class_="bar"),
            class_="row above" if above else "row",
        )
        for name, counts in counted.items()
    ]
    seen = [any(column) for column in zip(*counted.values(), strict=True)]
    legend = [
        tag("span", tag("i", class_=f"segment {kind}"), name)
        for (kind, name), occurs in zip(kinds, seen, strict=True)
        if occurs
    ]
    return tag("div", *rows, tag("div", *legend, class_="legend"), class_="bars above" if above else "bars")


def _segment(kind: tuple[str, str], count: int) -> Markup:
    if not count:
        return Markup("")
    return tag("span", str(count), class_=f"segment {kind[0]}", style=f"flex-grow: {count}", title=f"{count} {kind[1]}")


def _counts(arm: ArmFigures, evaluation: Evaluation) -> tuple[int, int, int, int]:
    given = [m for m in evaluation.answers if m.answer.arm == arm.name and m.answer.text is not None]
    kept = sum(m.violation is None for m in given)
    unread = sum(not m.parseable[evaluation.profile] for m in given if m.violation is not None)
    return kept, len(given) - kept - unread, unread, arm.failed
