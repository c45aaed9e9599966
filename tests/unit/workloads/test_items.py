"""The items of a sharded stage: nothing is made twice, and what a restart finds there is no pace."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.stage_context import stage_context

from fabula_workloads.runtime.failures import TryAgain
from fabula_workloads.runtime.items import each_once
from fabula_workloads.runtime.outcomes import Outcome, Outcomes
from fabula_workloads.runtime.progress import Reporter

SPEC = {"samples": {"uri": "s"}, "arms": [{"name": "base", "model": {"uri": "m"}}]}


def test_a_restart_makes_what_is_left_and_reckons_from_it(tmp_path: Path) -> None:
    now, asked, left = [0], [], []
    context = stage_context(tmp_path, "EvalRun", "infer", SPEC, "out")
    context.reporter = Reporter(context.config, clock=lambda: now[0])
    ledger = Outcomes(context.store, Outcome)
    every = [f"film-{number}" for number in range(10)]

    def make(item: str) -> Outcome:
        left.append(context.reporter.report.eta_seconds)
        asked.append(item)
        now[0] += 60
        if len(asked) == 6:
            context.stopping.set()
        return Outcome(outcome="ok")

    def counts(outcome: Outcome) -> list[tuple[str, int]]:
        return [(outcome.counted_as("film"), 1)]

    with pytest.raises(TryAgain):
        each_once(context, ledger, every, make, counts)
    assert left == [None, None, 480, 420, 360, 300], "the first film's time has a model's loading in it"
    context.stopping.clear()
    context.reporter = Reporter(context.config, clock=lambda: now[0])
    left.clear()
    assert each_once(context, ledger, every, make, counts).counts == {"film/ok": 10}
    assert sorted(asked) == every
    assert left == [None, 180, 120, 60]
    assert each_once(context, ledger, every, make, counts).counts == {"film/ok": 10}
    assert len(asked) == 10
