"""The judges in the report: how each was tried, what it prefers with which intervals, its habits, and its own words."""

from __future__ import annotations

import csv
import io
from typing import Any

from fabula_workloads.judging.agreement import Agreement
from fabula_workloads.judging.figures import Judged, JudgeFigures, PairFigures
from fabula_workloads.judging.habits import Habits
from fabula_workloads.metrics.bootstrap import Estimate
from fabula_workloads.report.markup import Markup, badge, join, tag

_DASH = "\N{EN DASH}"
_MANY_CALLS = 0.2
"""Share of calls by habit above which the plain win rate's interval may miss the truth (docs/evaluation.md)."""
_HINT = (
    "Each judge saw the answers without knowing whose they are, in both orders; where the two orders disagree it is a "
    "tie, and a tie is half a win. Intervals are 95 %. At equal lengths is what the same judge is expected to prefer "
    "of answers that are as long (AlpacaEval 2's regression); without habits, what is left when calls that look at "
    "nothing but place or length are taken out."
)


def judges(judged: Judged) -> Markup:
    """The whole section; nothing without judges."""
    if not judged.judges:
        return Markup("")
    return join(
        tag("h2", "Judges"),
        tag("p", _HINT, class_="hint"),
        *(tag("p", warning, class_="notice") for warning in warnings(judged)),
        _verdicts(judged),
        _points(judged),
        _habits(judged),
        _agreement(judged.agreements),
    )


def warnings(judged: Judged) -> list[str]:
    """What to know before believing a judge."""
    told = []
    for judge in judged.judges:
        if not judge.self_test.passed:
            told.append(f"{judge.name} failed its self-test, and no gate rests on it: {judge.self_test.message}.")
        first = judge.first
        if first.low is not None and first.high is not None and not first.low <= 0.5 <= first.high:
            told.append(
                f"{judge.name} took the answer that was shown first in {first.mean:.0%} of its decided calls; "
                "both orders make up for it, at the price of more ties."
            )
        for pair in judge.pairs:
            length = pair.controlled.length if pair.controlled else None
            if length is not None and length.low is not None and length.low > 0:
                told.append(
                    f"{judge.name} prefers longer answers ({pair.arm} against {pair.versus}): read its win rate at "
                    "equal lengths."
                )
            if pair.habits is not None and (share := _habitual(pair.habits)) > _MANY_CALLS:
                told.append(
                    f"{judge.name} looks at nothing but place or length in about {share:.0%} of its calls ({pair.arm} "
                    f"against {pair.versus}), which pulls its win rate towards a half: read the one without habits."
                )
        if judge.unread:
            told.append(f"{judge.unread} replies of {judge.name} could not be read and are in no figure.")
        if judge.left:
            told.append(f"{judge.left} questions to {judge.name} were not asked: the budget was used up.")
    return told


def _habitual(habits: Habits) -> float:
    """Share of calls that surely follow a habit: of those that the intervals tell from none."""
    seen = [habit for habit in (habits.place, habits.length) if habit.low is not None and habit.high is not None]
    return sum(abs(habit.mean or 0.0) for habit in seen if not (habit.low or 0.0) <= 0 <= (habit.high or 0.0))


def _verdicts(judged: Judged) -> Markup:
    head = ("Judge", "Arms", "Win rate", "At equal lengths", "Without habits", "Won, tied, lost", "By criterion")
    rows = [_row(judge, pair) for judge in judged.judges for pair in judge.pairs]
    return _table(head, rows) if rows else Markup("")


def _row(judge: JudgeFigures, pair: PairFigures) -> Markup:
    controlled = pair.controlled.win_rate if pair.controlled else None
    criteria = ", ".join(f"{name} {rate.mean:.0%}" for name, rate in pair.criteria.items() if rate.mean is not None)
    outcomes = f"{pair.outcomes['win']}, {pair.outcomes['tie']}, {pair.outcomes['loss']}"
    return tag(
        "tr",
        tag("th", judge.name, _trust(judge)),
        tag("td", f"{pair.arm} against {pair.versus}"),
        _share(pair.win_rate),
        _share(controlled),
        _share(pair.habits.win_rate if pair.habits else None),
        tag("td", outcomes, class_="number"),
        tag("td", criteria or _DASH),
    )


def _points(judged: Judged) -> Markup:
    rows = []
    for judge in judged.judges:
        for arm in dict.fromkeys([*judge.means, *judge.strengths]):
            points, strength = judge.means.get(arm), judge.strengths.get(arm)
            rows.append(
                tag("tr", tag("th", judge.name), tag("td", arm), _number(points), _number(strength, signed=True))
            )
    return _table(("Judge", "Arm", "Points", "Bradley-Terry strength"), rows) if rows else Markup("")


def _habits(judged: Judged) -> Markup:
    head = ("Judge", "Self-test", "Took the first", "Orders agree", "Longer answer won", "Calls", "Dollars")
    rows = [
        tag(
            "tr",
            tag("th", judge.name, tag("span", f"rubric {judge.rubric.name}")),
            tag("td", judge.self_test.message),
            _share(judge.first),
            _share(judge.consistent),
            _share(judge.pairs[0].longer if len(judge.pairs) == 1 else None),
            tag("td", f"{judge.calls:,}", class_="number"),
            tag("td", f"{judge.usd:,.2f}", class_="number"),
        )
        for judge in judged.judges
    ]
    return _table(head, rows)


def _agreement(agreements: Any) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", f"{agreement.judge} and {agreement.other}"),
            _number(agreement.kappa),
            tag("td", f"{agreement.share:.0%}", class_="number"),
            tag("td", str(agreement.kappa.count), class_="number"),
        )
        for agreement in agreements
        if isinstance(agreement, Agreement)
    ]
    return _table(("Agreement", "Cohen's kappa", "Same verdict", "Items"), rows) if rows else Markup("")


def reasons(judged: Judged, sample: str) -> Markup:
    """What the judges said of one sample, folded away."""
    rows = []
    for judge in judged.judges:
        said = [ballot for (name, _), ballots in judge.reasons.items() if name == sample for ballot in ballots]
        for ballot in said:
            shown = " before ".join(ballot.shown)
            rows.append(tag("tr", tag("th", judge.name), tag("td", shown), tag("td", _mark(ballot.shown, ballot.mark)),
                            tag("td", ballot.reason)))  # fmt: skip
    if not rows:
        return Markup("")
    outcomes = [
        f"{judge.name}: "
        + ", ".join(f"{v.outcome or 'unread'} of {v.arm}" for v in pair.verdicts if v.sample == sample)
        for judge in judged.judges
        for pair in judge.pairs
    ]
    return tag(
        "details",
        tag("summary", f"Judges: {'; '.join(outcomes)}" if outcomes else "Judges"),
        _table(("Judge", "Shown", "Mark", "Reason"), rows),
    )


def _mark(shown: tuple[str, ...], mark: float | None) -> str:
    if mark is None:
        return "unread"
    if len(shown) == 1:
        return f"{mark:g}"
    return "tie" if mark == 0.5 else shown[0] if mark > 0.5 else shown[1]


def _trust(judge: JudgeFigures) -> Markup:
    return join(" ", badge("trusted", "good") if judge.self_test.passed else badge("not trusted", "bad"))


def _share(estimate: Estimate | None) -> Markup:
    if estimate is None or estimate.mean is None:
        return tag("td", _DASH, class_="number")
    interval = None
    if estimate.low is not None and estimate.high is not None:
        interval = tag("span", f"{estimate.low:.0%} to {estimate.high:.0%}", class_="interval")
    return tag("td", f"{estimate.mean:.0%}", interval, class_="number")


def _number(estimate: Estimate | None, *, signed: bool = False) -> Markup:
    if estimate is None or estimate.mean is None:
        return tag("td", _DASH, class_="number")
    form = "+.2f" if signed else ".2f"
    interval = None
    if estimate.low is not None and estimate.high is not None:
        interval = tag("span", _minus(f"{estimate.low:{form}} to {estimate.high:{form}}"), class_="interval")
    return tag("td", _minus(f"{estimate.mean:{form}}"), interval, class_="number")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _table(head: tuple[str, ...], rows: list[Markup]) -> Markup:
    titles = tag("tr", *(tag("th", title) for title in head))
    return tag("div", tag("table", tag("thead", titles), tag("tbody", *rows)), class_="card scroll")


def verdicts_csv(judged: Judged) -> str:
    """`verdicts.csv`: a row for each verdict, in the columns that human verdicts have, and more."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["judge", "sample", "seed", "arm", "versus", "verdict", "value"])
    for judge in judged.judges:
        for pair in judge.pairs:
            for verdict in pair.verdicts:
                named = {"win": verdict.arm, "loss": verdict.versus, "tie": "tie", None: ""}[verdict.outcome]
                value = "" if verdict.value is None else f"{verdict.value:g}"
                writer.writerow([judge.name, verdict.sample, verdict.seed, verdict.arm, verdict.versus, named, value])
    return out.getvalue()


def judges_document(judged: Judged) -> list[dict[str, Any]]:
    """The judges as data, for `report.json`."""
    return [
        {
            "name": judge.name,
            "rubric": judge.rubric.model_dump(mode="json", by_alias=True, exclude_none=True),
            "selfTest": {"passed": judge.self_test.passed, "message": judge.self_test.message},
            "first": _data(judge.first),
            "consistent": _data(judge.consistent),
            "unread": judge.unread,
            "left": judge.left,
            "calls": judge.calls,
            "costUsd": round(judge.usd, 6),
            "points": {arm: _data(estimate) for arm, estimate in judge.means.items()},
            "strengths": {arm: _data(estimate) for arm, estimate in judge.strengths.items()},
            "pairs": [
                {
                    "arm": pair.arm,
                    "versus": pair.versus,
                    "winRate": _data(pair.win_rate),
                    "outcomes": dict(pair.outcomes),
                    "criteria": {name: _data(estimate) for name, estimate in pair.criteria.items()},
                    "lengthControlled": _data(pair.controlled.win_rate) if pair.controlled else None,
                    "lengthEffect": _data(pair.controlled.length) if pair.controlled else None,
                    "positionEffect": _data(pair.controlled.position) if pair.controlled else None,
                    "longer": _data(pair.longer),
                    "withoutHabits": _data(pair.habits.win_rate) if pair.habits else None,
                    "placeHabit": _data(pair.habits.place) if pair.habits else None,
                    "lengthHabit": _data(pair.habits.length) if pair.habits else None,
                }
                for pair in judge.pairs
            ],
            "agreement": [
                {
                    "with": two.other if two.judge == judge.name else two.judge,
                    "kappa": _data(two.kappa),
                    "share": two.share,
                }
                for two in judged.agreements
                if judge.name in (two.judge, two.other)
            ],
        }
        for judge in judged.judges
    ]


def _data(estimate: Estimate) -> dict[str, Any]:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "count": estimate.count}
