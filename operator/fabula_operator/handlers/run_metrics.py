"""What Prometheus is told of the runs: read from their statuses, so that series end with the run.

Labels are bounded by what there is: runs, their stages and arms, and the lists of reasons and metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fabula_operator.handlers.call_metrics import Series
from fabula_operator.kube.resources import Obj
from fabula_operator.plan.groups.group import has_groups
from fabula_operator.plan.times import parse_time

RUN = ("kind", "namespace", "name")
"""Labels of every series about a run."""


@dataclass(frozen=True, slots=True)
class RunMetric:
    """One family of series about runs."""

    name: str
    about: str
    read: Callable[[Mapping[str, Any], Obj], Series]
    """From a status and its object."""
    labels: tuple[str, ...] = ()
    """Labels beside kind, namespace and name."""
    counter: bool = False


def _figure(*path: str) -> Callable[[Mapping[str, Any], Obj], Series]:
    """A number at a path of the status."""

    def read(status: Mapping[str, Any], _: Obj) -> Series:
        value: Any = status
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield (), float(value)

    return read


def _time(*path: str) -> Callable[[Mapping[str, Any], Obj], Series]:
    """A timestamp at a path of the status, in seconds since 1970."""

    def read(status: Mapping[str, Any], _: Obj) -> Series:
        value: Any = status
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, str):
            yield (), datetime.fromisoformat(value).timestamp()

    return read


def _condition(kind: str, *, when: str = "True") -> Callable[[Mapping[str, Any], Obj], Series]:
    """1 where a condition has that status, 0 where it has another."""

    def read(status: Mapping[str, Any], _: Obj) -> Series:
        for condition in status.get("conditions") or ():
            if condition.get("type") == kind and condition.get("status") in ("True", "False"):
                yield (), 1.0 if condition["status"] == when else 0.0

    return read


def _info(status: Mapping[str, Any], _: Obj) -> Series:
    yield (status.get("state") or "Pending", status.get("reason") or ""), 1.0


def _unhealthy(status: Mapping[str, Any], _: Obj) -> Series:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Healthy":
            # Unknown is what a run says that is not at work: nobody objects to it.
            yield (condition.get("reason") or "",), 1.0 if condition.get("status") == "False" else 0.0


def _figures(status: Mapping[str, Any], _: Obj) -> Series:
    for name, value in (status.get("figures") or {}).items():
        yield (str(name),), float(value)


def _progress(status: Mapping[str, Any], _: Obj) -> Series:
    for _labels, percent in _figure("progress", "percent")(status, {}):
        yield (), percent / 100


def _items(status: Mapping[str, Any], _: Obj) -> Series:
    for stage in status.get("stages") or ():
        for outcome in ("done", "failed", "total"):
            if stage.get(outcome) is not None:
                yield (stage["name"], outcome), stage[outcome]


def _outcomes(status: Mapping[str, Any], _: Obj) -> Series:
    for item in status.get("items") or ():
        yield (item["kind"], item["outcome"], item.get("reason") or ""), item["count"]


def _calls(status: Mapping[str, Any], _: Obj) -> Series:
    for bill in status.get("bills") or ():
        for outcome in ("paid", "saved", "lost"):
            yield (bill["stage"], outcome), bill.get(outcome) or 0


def _tokens(status: Mapping[str, Any], _: Obj) -> Series:
    for bill in status.get("bills") or ():
        for direction in ("input", "output"):
            yield (bill["stage"], direction), bill.get(direction) or 0


def _budget(_: Mapping[str, Any], obj: Obj) -> Series:
    usd = ((obj.get("spec") or {}).get("budget") or {}).get("usd")
    if isinstance(usd, int | float):
        yield (), float(usd)


def _gpu_seconds(status: Mapping[str, Any], _: Obj) -> Series:
    for share, hours in (status.get("gpuHours") or {}).items():
        yield (share,), hours * 3600


def _attempts(status: Mapping[str, Any], obj: Obj) -> Series:
    if has_groups(obj["kind"]):
        earlier = (status.get("earlierAttempts") or {}).get("count") or 0
        yield (), float(earlier + len(status.get("attempts") or ()))


def _unsaved(status: Mapping[str, Any], _: Obj) -> Series:
    """Of the attempt at work: since its last checkpoint, or since its start where it has committed none."""
    for attempt in (status.get("attempts") or ())[-1:]:
        times = [at for name in ("startedAt", "committedAt") if (at := parse_time(attempt.get(name))) is not None]
        if attempt.get("state") == "Running" and status.get("state") == "Running" and times:
            yield (), max(times).timestamp()


def _answers(status: Mapping[str, Any], _: Obj) -> Series:
    for arm in status.get("arms") or ():
        for outcome in ("done", "failed", "unparseable"):
            yield (arm["name"], outcome), arm.get(outcome) or 0


def _scores(status: Mapping[str, Any], _: Obj) -> Series:
    for arm in status.get("arms") or ():
        for metric in arm.get("metrics") or ():
            if metric.get("mean") is not None:
                yield (arm["name"], metric["name"]), metric["mean"]


def _win_rates(status: Mapping[str, Any], _: Obj) -> Series:
    for judge in status.get("judges") or ():
        for pair in judge.get("pairs") or ():
            if pair.get("winRate") is not None:
                yield (judge["name"], pair["arm"], pair["versus"]), pair["winRate"]


def _training(name: str, field: str, about: str) -> RunMetric:
    return RunMetric(f"fabula_training_{name}", about, _figure("metrics", field))


RUN_METRICS: tuple[RunMetric, ...] = (
    RunMetric("fabula_run_info", "State of a run, and what it waits for or why it ended.", _info, ("state", "reason")),
    RunMetric("fabula_run_progress_ratio", "How far a run is, of 1.", _progress),
    RunMetric("fabula_run_stalled", "1 where somebody has to mend something first.", _condition("Stalled")),
    RunMetric("fabula_run_started_timestamp_seconds", "When the first pod was asked for.", _time("startedAt")),
    RunMetric("fabula_run_finished_timestamp_seconds", "When the run ended.", _time("finishedAt")),
    RunMetric("fabula_run_cost_usd", "Dollars spent.", _figure("costUsd")),
    RunMetric("fabula_run_budget_usd", "Dollars that may be spent.", _budget),
    RunMetric("fabula_run_figure", "Figures that a recipe shows.", _figures, ("figure",)),
    RunMetric("fabula_stage_items", "Items of a stage, by outcome.", _items, ("stage", "outcome")),
    RunMetric("fabula_dataset_items", "What a build counted.", _outcomes, ("item", "outcome", "reason")),
    RunMetric("fabula_dataset_samples", "Samples in the dataset.", _figure("samples")),
    RunMetric("fabula_provider_calls", "Calls to a provider.", _calls, ("stage", "outcome"), counter=True),
    RunMetric("fabula_provider_tokens", "Tokens of paid calls.", _tokens, ("stage", "direction"), counter=True),
    _training("loss", "loss", "Training loss."),
    _training("validation_loss", "validationLoss", "Loss on the validation split."),
    _training("grad_norm", "gradNorm", "Gradient norm before clipping."),
    _training("learning_rate", "learningRate", "Learning rate."),
    _training("tokens_per_second_per_gpu", "tokensPerSecondPerGpu", "Tokens a second and GPU (or rank)."),
    _training("mfu_ratio", "mfu", "Model FLOPs utilisation, of 1."),
    _training("step", "step", "Optimizer steps done."),
    _training("steps", "steps", "Optimizer steps in all."),
    _training("step_seconds", "stepSeconds", "Seconds of an optimizer step."),
    _training("data_wait_ratio", "dataWait", "Share of the time that ranks wait for data."),
    RunMetric("fabula_training_unhealthy", "1 while the watchdog objects.", _unhealthy, ("reason",)),
    RunMetric("fabula_training_attempts", "Attempts so far.", _attempts),
    RunMetric("fabula_training_gpu_seconds", "Seconds of GPUs, used and of those wasted.", _gpu_seconds, ("share",)),
    RunMetric(
        "fabula_training_checkpoint_timestamp_seconds",
        "When the newest checkpoint was committed.",
        _time("checkpoint", "committedAt"),
    ),
    RunMetric(
        "fabula_training_unsaved_timestamp_seconds",
        "Since when a training at work has committed no checkpoint: what a lost node would cost.",
        _unsaved,
    ),
    RunMetric("fabula_eval_answers", "Answers of an arm, by outcome.", _answers, ("arm", "outcome")),
    RunMetric("fabula_eval_metric", "Mean of a metric.", _scores, ("arm", "metric")),
    RunMetric(
        "fabula_eval_win_rate", "Share of samples that a judge gives to an arm.", _win_rates, ("judge", "arm", "versus")
    ),
    RunMetric("fabula_eval_judges_trusted", "1 if all judges stood their self-test.", _condition("JudgesTrusted")),
    RunMetric("fabula_eval_gates_passed", "1 if all gates are kept.", _condition("GatesPassed")),
)
