"""The watchdog on a training run's reports: stalls, NaN, spikes, falling throughput, and the policy."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.observations import NOW, condition, launches, observed, step, written

from fabula_api.fine_tune_blocks import Watchdog
from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_api.worker import StageReport
from fabula_operator.handlers.reports import Reports
from fabula_operator.plan.actions import DeleteChild, Plan, SuspendChild
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.plan.seen.pulse import Pulse, beat
from fabula_operator.plan.stages.watchdog import Watched, examine

PACE = 30.0


def at_work(policy: str = "warn", **watchdog: Any) -> Observed:
    """A training run whose pod runs."""
    seen, _ = step(observed("FineTuneRun", {"watchdog": {"policy": policy, **watchdog}}))
    return step(seen)[0]


def told(seen: Observed, count: int = 12, *, total: int = 126, **last: Any) -> Observed:
    """The run after `count` reports, one each 30 seconds; `last` are figures of the last one."""
    reports, child, pod = Reports(), seen.children[-1], seen.pods[-1]
    for number in range(1, count + 1):
        metrics = {"loss": 2.0 + 0.01 * (number % 3), "gradNorm": 0.5, "tokensPerSecondPerGpu": 800.0}
        if number == count:
            metrics |= last
        body = StageReport(stage="train", attempt=child.attempt, done=number, total=total, metrics=metrics)
        reports.put("uid", body, pod.name, NOW + timedelta(seconds=PACE * number), trains=True)
    return replace(seen, reports=reports.of("uid"))


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def message(made: Plan) -> str:
    assert made.status is not None
    return next(one.message for one in made.status.conditions if one.type == "Healthy")


def listening(seen: Observed, since: datetime) -> Observed:
    """The same, seen by an operator that was started then."""
    return replace(seen, environment=replace(seen.environment, listening_since=since))


@pytest.mark.parametrize(
    ("situation", "figures", "expected", "words"),
    [
        ("all is as usual", {}, ("True", "AsUsual"), ""),
        ("the loss is NaN", {"loss": math.nan}, ("False", "LossNotFinite"), "loss is not a finite number at step 12"),
        ("the gradient is infinite", {"gradNorm": math.inf}, ("False", "GradientNotFinite"), "gradNorm is not"),
        ("the loss is thrice the usual", {"loss": 7.0}, ("False", "LossSpike"), "loss 7 at step 12, usual is 2.01"),
        ("the loss rises a little", {"loss": 3.0}, ("True", "AsUsual"), ""),
        ("throughput falls to a third", {"tokensPerSecondPerGpu": 250.0}, ("False", "ThroughputFell"), "usual are 800"),
    ],
    ids=lambda value: value if isinstance(value, str) and value[:3] in ("all", "the", "thr") else "",
)
def test_what_the_newest_report_tells(
    situation: str, figures: dict[str, Any], expected: tuple[str, str], words: str
) -> None:
    seen = told(at_work(), **figures)
    made = plan(seen, after(365))
    assert condition(made.status, "Healthy") == expected
    assert words in message(made)
    assert made.status is not None
    assert made.status.state == "Running"
    warned = [one.reason for one in made.notices if one.type == "Warning"]
    assert warned == ([expected[1]] if expected[0] == "False" else [])
    assert plan(written(seen, made), after(370)).notices == ()


def test_a_near_zero_loss_does_not_spike() -> None:
    watchdog, pulse = Watchdog(), None
    for number, loss in enumerate([0.01] * 10 + [0.09]):
        pulse = beat(pulse, StageReport(stage="train", done=number, metrics={"loss": loss}), after(number))
    seen = told(at_work())
    report = replace(seen.reports[0], pulse=pulse)
    assert examine(watchdog, Watched(report, 10, None, None), after(11)).finding is None


def test_a_step_that_does_not_come_is_a_stall_once_it_is_late_enough() -> None:
    seen = told(at_work())
    last = PACE * 12
    made = plan(seen, after(last + 1))
    assert made.requeue_after == pytest.approx(20 * PACE - 1)
    seen = written(seen, made)
    assert plan(seen, after(last + 20 * PACE - 1)).status == seen.run.status
    made = plan(seen, after(last + 20 * PACE))
    assert condition(made.status, "Healthy") == ("False", "StepStalled")
    assert "no step after step 12 since 2026-03-01T12:06:00Z; a step usually takes 30s" in message(made)
    assert [one.reason for one in made.notices] == ["StepStalled"]
    seen = written(seen, made)
    assert plan(seen, after(last + 90_000)).status == seen.run.status
    assert plan(told(seen, 13), after(last + PACE + 1)).notices[0].reason == "Healthy"


def test_short_steps_have_the_grace() -> None:
    seen = told(at_work(grace="2h"))
    assert condition(plan(seen, after(7000)).status, "Healthy") == ("True", "AsUsual")
    assert condition(plan(seen, after(7600)).status, "Healthy") == ("False", "StepStalled")


def test_loading_before_the_first_step_and_writing_after_the_last_are_no_stall() -> None:
    loading = plan(at_work(), after(90_000))
    assert condition(loading.status, "Healthy") == ("Unknown", "NoReport")
    first = told(at_work(), 1)
    assert condition(plan(first, after(90_000)).status, "Healthy") == ("True", "AsUsual")
    ending = told(at_work(), 12, total=12)
    assert condition(plan(ending, after(90_000)).status, "Healthy") == ("True", "AsUsual")


def test_a_restarted_operator_gives_no_false_alarm_and_still_finds_a_stall() -> None:
    seen = told(at_work())
    seen = written(seen, plan(seen, after(361)))
    restarted = 40_000
    fresh = listening(replace(seen, reports=()), after(restarted))
    quiet = plan(fresh, after(restarted + 1))
    assert condition(quiet.status, "Healthy") == ("True", "AsUsual")
    assert quiet.status == fresh.run.status
    assert quiet.requeue_after == pytest.approx(599)
    assert condition(plan(fresh, after(restarted + 601)).status, "Healthy") == ("False", "StepStalled")


def test_a_restarted_operator_takes_the_writing_after_the_last_step_for_no_stall() -> None:
    seen, _ = step(told(at_work("fail"), 12, total=12), after(PACE * 12))
    restarted = listening(replace(seen, reports=()), after(PACE * 12))
    made = plan(restarted, after(PACE * 12 + 7200))
    assert made.status is not None
    assert made.status.state == "Running"


def test_a_known_stall_stays_known_to_a_restarted_operator() -> None:
    seen = told(at_work())
    seen = written(seen, plan(seen, after(10_000)))
    assert condition(seen.run.status, "Healthy") == ("False", "StepStalled")
    fresh = listening(replace(seen, reports=()), after(10_001))
    made = plan(fresh, after(10_002))
    assert condition(made.status, "Healthy") == ("False", "StepStalled")
    assert made.notices == ()


def test_restart_ends_the_attempt_and_charges_the_failure_budget() -> None:
    seen = told(at_work("restart"), loss=math.nan)
    made = plan(seen, after(361))
    assert isinstance(made.status, FineTuneRunStatus)
    first, second = made.status.attempts
    assert (first.state, first.reason, first.budget) == ("Failed", "LossNotFinite", "failure")
    assert (second.number, second.state) == (2, "Pending")
    assert [type(action) for action in made.actions] == [DeleteChild]
    gone = replace(written(seen, made), children=(), pods=())
    assert [launch.attempt for launch in launches(plan(gone, after(5000)))] == [2]
    # The next attempt is not judged by what the former one said.
    seen, _ = step(gone, after(5000))
    assert condition(step(seen, after(90_000))[0].run.status, "Healthy") == ("Unknown", "NoReport")


def test_a_budget_that_is_spent_fails_the_run_with_the_finding() -> None:
    seen, _ = step(observed("FineTuneRun", {"watchdog": {"policy": "restart"}, "retries": {"failure": 0}}))
    made = plan(told(seen, loss=9.0), after(361))
    assert made.status is not None
    assert made.status.reason == "LossSpike"
    assert [type(action) for action in made.actions] == [SuspendChild]


def test_fail_ends_the_run_at_once() -> None:
    made = plan(told(at_work("fail")), after(90_000))
    assert made.status is not None
    assert (made.status.state, made.status.reason) == ("Failed", "StepStalled")
    assert made.status.failure is not None
    assert "spec.watchdog" in made.status.failure.message


@pytest.mark.parametrize("policy", ["restart", "fail"])
def test_falling_throughput_is_told_and_never_acted_on(policy: str) -> None:
    made = plan(told(at_work(policy), tokensPerSecondPerGpu=1.0), after(361))
    assert condition(made.status, "Healthy") == ("False", "ThroughputFell")
    assert made.actions == ()


BODIES = st.lists(
    st.tuples(
        st.integers(0, 3), st.floats(0.1, 60), st.sampled_from([1.0, 2.0, 50.0, math.nan]), st.floats(1, 1000)
    ),
    max_size=60,
)  # fmt: skip


@settings(max_examples=examples(40), deadline=None)
@given(bodies=BODIES)
def test_a_pulse_never_goes_back_and_holds_only_figures(bodies: list[tuple[int, float, float, float]]) -> None:
    pulse: Pulse | None = None
    done, now = 0, NOW
    for made, seconds, loss, rate in bodies:
        done, now = done + made, now + timedelta(seconds=seconds)
        metrics = {"loss": loss, "tokensPerSecondPerGpu": rate}
        former, pulse = pulse, beat(pulse, StageReport(stage="train", done=done, metrics=metrics), now)
        assert pulse.step == done
        assert former is None or pulse.step_at >= former.step_at
        assert pulse.broken == ("loss" if math.isnan(loss) else None)
        for figures in (pulse.seconds, pulse.losses, pulse.rates):
            assert len(figures) <= 32
            assert all(math.isfinite(figure) and figure > 0 for figure in figures)


@settings(max_examples=examples(40), deadline=None)
@given(silence=st.floats(0, 1e6), started=st.floats(0, 1e6), usual=st.floats(0.01, 1000))
def test_an_operator_never_counts_silence_from_before_it_listened(silence: float, started: float, usual: float) -> None:
    watched = Watched(None, 40, usual, after(started))
    health = examine(Watchdog(), watched, after(started + silence))
    allowed = max(20 * usual, 600)
    assert (health.finding is not None) == (after(started + silence) >= after(started) + timedelta(seconds=allowed))
