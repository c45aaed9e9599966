"""The evaluation in one sentence: whether its bounds were kept, whom the judges prefer, and what differs from the
baseline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fabula_workloads.judging.figures import Judged
from fabula_workloads.metrics.bootstrap import Estimate
from fabula_workloads.metrics.evaluation import ArmFigures, Evaluation

NOBODY = Judged()
_NAMED = 4
"""Metrics, and arms without a difference, that the sentence names; the table has the rest."""


def verdict(evaluation: Evaluation, judged: Judged = NOBODY) -> str:
    """The sentence."""
    others = [arm for arm in evaluation.arms if arm.name != evaluation.baseline]
    preferred = (_preferred(judged, arm.name, evaluation.baseline) for arm in others)
    told = [_bounds(evaluation), *preferred, _distrusted(judged), *_differences(evaluation, others)]
    return "; ".join(filter(None, told)).rstrip(".") + "." if any(told) else "There is nothing to compare."


def _bounds(evaluation: Evaluation) -> str:
    if not evaluation.gates:
        return ""
    failed = sum(not outcome.passed for _, outcome in evaluation.gates)
    total = len(evaluation.gates)
    if not failed:
        return "The gate passed" if total == 1 else f"All {total} gates passed"
    return "The gate failed" if total == 1 else f"{failed} of {total} gates failed"


def _preferred(judged: Judged, arm: str, versus: str) -> str:
    """Whom the judges that are to be trusted prefer, with its win rate by each."""
    rates = {
        judge.name: pair.win_rate
        for judge in judged.judges
        if judge.self_test.passed
        for pair in judge.pairs
        if (pair.arm, pair.versus) == (arm, versus) and pair.win_rate.mean is not None
    }
    told = [
        f"{_joined(named)} {words}"
        for side, words in ((1, f"preferred {arm} to {versus}"), (-1, f"preferred {versus} to {arm}"),
                            (0, f"had no clear preference between {arm} and {versus}"))
        if (named := [f"{name} ({_won(rate, side):.0%})" for name, rate in rates.items() if _side(rate) == side])
    ]  # fmt: skip
    return ", ".join(told)


def _side(rate: Estimate) -> int:
    """1 where the whole interval is above a half, -1 where it is below, else 0."""
    if rate.low is None or rate.high is None:
        return 0
    return (rate.low > 0.5) - (rate.high < 0.5)


def _won(rate: Estimate, side: int) -> float:
    """Share of samples that the arm which is named first won."""
    mean = rate.mean or 0.0
    return 1 - mean if side < 0 else mean


def _distrusted(judged: Judged) -> str:
    names = [judge.name for judge in judged.judges if not judge.self_test.passed]
    return f"{_joined(names)} failed {'its' if len(names) == 1 else 'their'} self-test" if names else ""


def _joined(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _differences(evaluation: Evaluation, others: Sequence[ArmFigures]) -> Iterator[str]:
    """What each arm has of the baseline; arms that have nothing of it are told of together."""
    alike: dict[str, list[str]] = {}
    for arm in others:
        told, compared = _differs(evaluation, arm)
        if told:
            yield f"{arm.name} against {evaluation.baseline} is {told}"
        else:
            metrics = "1 metric" if compared == 1 else f"{compared} metrics"
            alike.setdefault(f"no difference beyond chance in {metrics}" if compared else "", []).append(arm.name)
    for words, names in alike.items():
        several, many = len(names) > 1, len(names) > _NAMED
        who = f"{len(names)} arms" if many else _joined(names)
        does = (f"show{'' if several else 's'} " + words) if words else "cannot be compared"
        yield f"{who} against {evaluation.baseline} {does}"


def _differs(evaluation: Evaluation, arm: ArmFigures) -> tuple[str, int]:
    """What is better, worse or otherwise than the baseline, after correction for how much was looked at; and how many
    metrics were compared."""
    better: list[str] = []
    worse: list[str] = []
    other: list[str] = []
    compared = 0
    for metric in evaluation.metrics_under(evaluation.profile):
        difference = evaluation.difference(evaluation.profile, arm.name, metric.name)
        if difference is None or difference.estimate.mean is None:
            continue
        compared += 1
        if difference.paired.seen:
            rises = difference.estimate.mean > 0
            kind = other if metric.better is None else better if rises == (metric.better == "higher") else worse
            kind.append(in_sentence(metric.title))
    parts = [f"{word} in {_listed(names)}" for word, names in (("better", better), ("worse", worse)) if names]
    if other:
        parts.append(f"different in {_listed(other)}")
    return ", ".join(parts), compared


def in_sentence(title: str) -> str:
    """A title within a sentence: small, but for what is a name, such as CIDEr."""
    first, space, rest = title.partition(" ")
    return (first if first[1:] != first[1:].lower() else first.lower()) + space + rest


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return _joined([*names[:_NAMED], f"{more} more"]) if more > 0 else _joined(names)
