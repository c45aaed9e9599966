"""The card of a tuned model with what an evaluation found, to be published with the model in its card's place.

What was trained keeps the card that it was committed with: its artifact is known by the hash. This one is the report's.
"""

from __future__ import annotations

from collections.abc import Iterator

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from fabula_api.metrics import Metric
from fabula_workloads.judging.figures import JudgeFigures
from fabula_workloads.metrics.bootstrap import Estimate
from fabula_workloads.metrics.evaluation import ArmFigures, Difference, Evaluation
from fabula_workloads.metrics.self_tests import distrusted
from fabula_workloads.report.parts import ReportParts, Told

_TASK = "image-text-to-text"
_DASH = "–"


def evaluated_card(card: str, told: Told, arm: str, *, samples: str, code: str, parts: ReportParts) -> str:
    """The card, with the arm's figures under the first profile in its metadata (the Hub's `model-index`) and, beside
    the baseline's, in its text. `samples` is the digest of what was asked about. Raises ValueError for a card that is
    none."""
    evaluation = told.evaluation
    ours = next(figures for figures in evaluation.arms if figures.name == arm)
    asked = f"{len(told.samples)} {parts.items if len(told.samples) != 1 else parts.item}"
    evaluated = ModelCard(card)
    data = evaluated.data
    assert isinstance(data, ModelCardData)
    data.model_name = arm
    data.eval_results = [
        EvalResult(
            task_type=_TASK, dataset_type="sample-set", dataset_name=asked, dataset_revision=samples,
            metric_type=metric.name, metric_name=f"{metric.title} ({metric.unit})", metric_value=mean,
        )
        for metric in _trusted(evaluation)
        if (mean := ours.means[evaluation.profile, metric.name].mean) is not None
    ] or None  # fmt: skip
    seeds = sorted({measured.answer.seed for measured in evaluation.answers})
    said = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
    lines = [
        "",
        "## In an evaluation",
        "",
        f"As {arm}, asked about {asked} ({samples}), {said}; profile {evaluation.profile}, {code}. In brackets 95 % "
        "intervals; p by permutation of pairs, after Holm's correction.",
        "",
        *_table(evaluation, ours),
        *_judges(told, ours.name, parts.items),
        "",
    ]
    return str(evaluated).rstrip("\n") + "\n" + "\n".join(lines)


def _trusted(evaluation: Evaluation) -> list[Metric]:
    """Metrics whose figures say something."""
    broken = distrusted(evaluation.self_tests, evaluation.profile)
    known = evaluation.metrics_under(evaluation.profile)
    return [metric for metric in known if metric.name not in broken and evaluation.label(metric) is None]


def _table(evaluation: Evaluation, ours: ArmFigures) -> Iterator[str]:
    base = next(figures for figures in evaluation.arms if figures.name == evaluation.baseline)
    alone = base is ours
    yield f"| | {ours.name} |" + ("" if alone else f" {base.name} | difference | p |")
    yield "|---|---|" + ("" if alone else "---|---|---|")
    for metric in _trusted(evaluation):
        key = evaluation.profile, metric.name
        row = f"| {metric.title}: {metric.unit} | {_written(metric, ours.means[key])} |"
        if not alone:
            difference = evaluation.difference(evaluation.profile, ours.name, metric.name)
            row += f" {_written(metric, base.means[key])} | {_difference(metric, difference)} |"
        yield row
    yield f"| Answers that cannot be read | {_unread(evaluation, ours)} |" + (
        "" if alone else f" {_unread(evaluation, base)} | | |"
    )


def _unread(evaluation: Evaluation, arm: ArmFigures) -> str:
    return f"{arm.unparseable[evaluation.profile]} of {arm.done}"


def _difference(metric: Metric, difference: Difference | None) -> str:
    if difference is None or difference.estimate.mean is None:
        return f"{_DASH} | {_DASH}"
    p = difference.paired.adjusted
    told = _DASH if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
    return f"{_written(metric, difference.estimate, signed=True)} | {told}"


def _judges(told: Told, arm: str, items: str) -> Iterator[str]:
    """A line for each judge and pair that the arm is in; of judges that failed their self-test, only that they did."""
    for judge in told.judged.judges:
        rates = list(_rates(judge, arm))
        if rates or arm in judge.means:
            yield ""
        if not judge.self_test.passed:
            yield f"Judge {judge.name} failed its self-test, so its verdicts are left out."
            continue
        for other, rate, low, high in rates:
            yield f"Judge {judge.name} preferred it to {other} in {rate:.0%} ({low:.0%} to {high:.0%}) of {items}."
        if (points := judge.means.get(arm)) is not None and points.mean is not None:
            yield f"Judge {judge.name} gave it {points.mean:.2f} points on average."


def _rates(judge: JudgeFigures, arm: str) -> Iterator[tuple[str, float, float, float]]:
    for pair in judge.pairs:
        rate = pair.win_rate
        if arm not in (pair.arm, pair.versus) or rate.mean is None or rate.low is None or rate.high is None:
            continue
        if pair.arm == arm:
            yield pair.versus, rate.mean, rate.low, rate.high
        else:
            yield pair.arm, 1 - rate.mean, 1 - rate.high, 1 - rate.low


def _written(metric: Metric, estimate: Estimate, *, signed: bool = False) -> str:
    if estimate.mean is None:
        return _DASH
    style = ("+" if signed else "") + metric.shown
    if estimate.low is None or estimate.high is None:
        return format(estimate.mean, style)
    return f"{estimate.mean:{style}} ({estimate.low:{style}} to {estimate.high:{style}})"
