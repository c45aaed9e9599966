"""What a cluster says, on a terminal: nothing of it is markup, a terminal's command, or text in another order."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.support import tenant
from tests.support.told_runs import told

from fabula_api.outside import plain
from fabula_cli.display import Figures
from fabula_cli.following import LiveDisplay, PlainDisplay
from fabula_cli.runs import failure, score_table
from fabula_operator.plan.seen.observed import Run


def run(text: str, state: str = "Running") -> Run:
    metrics = [{"name": text, "mean": 0.5, "label": text}]
    status = {
        "state": state, "reason": text, "score": text, "progress": {"summary": text, "eta": text},
        "arms": [{"name": text, "done": 1, "metrics": metrics}],
        "failure": {"reason": text, "message": text, "exception": text, "logTail": [text]},
    }  # fmt: skip
    run = told("EvalRun", "eval", status)
    # What no JSON text can hold is in no status either.
    assert run.status.reason == text or "\ud800" in text
    return run


@pytest.mark.parametrize("terminal", [True, False], ids=["live", "plain"])
@pytest.mark.parametrize("text", tenant.TEXTS.values(), ids=tenant.TEXTS)
def test_texts_of_others_are_shown_as_they_are_and_do_nothing(text: str, terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=200, color_system=None)
    one = run(text)
    with LiveDisplay(console) if terminal else PlainDisplay(console) as display:
        display.show([one])
        display.tell(text)
        for line in failure(run(text, "Failed")):
            display.tell(line)
        display.show([one])
    console.print(Figures(score_table(one), "scores"))
    said = out.getvalue()
    for bad in ("\x1b]0;", "\x1b[2J", "\x07", "\u202e", "\u2028"):
        assert bad not in said
    if text.startswith("[/x]"):
        assert plain(text) in said
