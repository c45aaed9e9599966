"""Events for what changed between two statuses. Each has an identity, so that a crash does not emit it twice.

No identity holds a time: the plan after a crash is made at another one.
"""

from __future__ import annotations

from collections.abc import Sequence

from fabula_api.fine_tune_status import Attempt
from fabula_api.status import RunStatus
from fabula_operator.plan.actions import Notice
from fabula_operator.plan.money.unpriced import REASON as PRICE_UNKNOWN


def notices(
    old: RunStatus,
    new: RunStatus,
    generation: int,
    old_attempts: Sequence[Attempt] = (),
    attempts: Sequence[Attempt] = (),
) -> tuple[Notice, ...]:
    """What a person would want to read in `kubectl describe`, in order."""
    news: list[Notice] = [*_attempts(old_attempts, attempts), *_stages(old, new, generation)]
    before, after = old.state, new.state
    reason, message = new.reason, _message(new)
    if after == "Failed" and (before != "Failed" or old.observed_generation != generation):
        news.append(Notice("Warning", reason or "Failed", message, f"{generation}/failed/{reason}"))
    elif after == "Succeeded" and before != "Succeeded":
        news.append(Notice("Normal", "Succeeded", message, f"{generation}/succeeded"))
    elif after == "Suspended" and before != "Suspended":
        news.append(
            Notice("Normal", "Suspended", "stopped by spec.suspend; what is finished stays", f"{generation}/on")
        )
    elif before == "Suspended" and after in ("Running", "Pending"):
        news.append(Notice("Normal", "Resumed", "goes on from what is finished", f"{generation}/off"))
    news += _preflight(old, new, generation)
    news += _health(old, new, attempts)
    if after in ("Pending", "Running") and reason and reason != old.reason:
        kind = "Normal" if reason.startswith(("Waiting", "Replacing", "Restarting", "Suspending")) else "Warning"
        news.append(Notice(kind, reason, message, f"{generation}/wait/{reason}/{message}"))  # type: ignore[arg-type]
    return tuple(news)


def _preflight(old: RunStatus, new: RunStatus, generation: int) -> list[Notice]:
    """A run that was accepted although it may be too large, or what it pays for has no known price."""

    def doubt(status: RunStatus) -> tuple[str, str] | None:
        for condition in status.conditions:
            if (
                condition.type == "Accepted"
                and condition.status == "True"
                and condition.reason.endswith(("NotFit", PRICE_UNKNOWN))
            ):
                return condition.reason, condition.message
        return None

    now = doubt(new)
    if now is None or now == doubt(old):
        return []
    return [Notice("Warning", now[0], now[1][:900], f"{generation}/preflight/{now[0]}")]


def _health(old: RunStatus, new: RunStatus, attempts: Sequence[Attempt]) -> list[Notice]:
    """What the watchdog found, and that it is over."""

    def health(status: RunStatus) -> tuple[str, str, str]:
        for condition in status.conditions:
            if condition.type == "Healthy":
                return condition.status, condition.reason, condition.message
        return "Unknown", "", ""

    before, after = health(old), health(new)
    if before[:2] == after[:2] or not attempts:
        return []
    mark = f"attempt/{attempts[-1].number}/health/{attempts[-1].last_step}"
    if after[0] == "False":
        return [Notice("Warning", after[1], after[2][:900], f"{mark}/{after[1]}")]
    if before[0] == "False" and after[0] == "True":
        return [Notice("Normal", "Healthy", f"no longer {before[1]}", f"{mark}/healthy")]
    return []


def _message(status: RunStatus) -> str:
    if status.failure is not None:
        return status.failure.message[:900]
    wanted = {"Succeeded": "Succeeded"}.get(status.state or "", "Running")
    return next((condition.message for condition in status.conditions if condition.type == wanted), "")[:900]


def _stages(old: RunStatus, new: RunStatus, generation: int) -> list[Notice]:
    before = {stage.name: stage for stage in old.stages}
    news = []
    for stage in new.stages:
        former = before.get(stage.name)
        if former is not None and former.state == stage.state and former.key == stage.key:
            continue
        name = stage.name.replace("/", " of arm ", 1)
        if stage.state == "Running":
            news.append(Notice("Normal", "StageStarted", name, f"{generation}/start/{stage.name}/{stage.key}"))
        elif stage.state == "Succeeded":
            what = "found finished, taken as it is" if stage.reused else f"{stage.done} done"
            if stage.failed:
                what += f", {stage.failed} failed"
            news.append(
                Notice("Normal", "StageFinished", f"{name}: {what}", f"{generation}/end/{stage.name}/{stage.key}")
            )
    return news


def _attempts(old: Sequence[Attempt], new: Sequence[Attempt]) -> list[Notice]:
    before = {attempt.number: attempt for attempt in old}
    news = []
    for attempt in new:
        former = before.get(attempt.number)
        if attempt.state == "Failed" and (former is None or former.state != "Failed"):
            message = f"attempt {attempt.number} ended: {attempt.reason}"
            if attempt.message:
                message += f", {attempt.message}"
            if attempt.budget:
                message += f" (charged to retries.{attempt.budget})"
            news.append(Notice("Warning", "AttemptFailed", message, f"attempt/{attempt.number}"))
    return news
