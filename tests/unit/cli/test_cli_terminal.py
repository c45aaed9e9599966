"""What a cluster says, on a terminal: nothing of it is markup, a terminal's command, or text in another order."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.support import tenant

from fabula_api.outside import plain
from fabula_cli.display import Figures, LiveDisplay, PlainDisplay
from fabula_cli.runs import Run, score_table


def run(text: str) -> Run:
    metrics = [{"name": text, "mean": 0.5, "label": text}]
    status = {
        "state": text, "reason": text, "score": text, "progress": {"summary": text, "eta": text},
        "arms": [{"name": text, "done": 1, "metrics": metrics}],
        "failure": {"reason": text, "message": text, "exception": text, "logTail": [text]},
    }  # fmt: skip
    return Run("EvalRun", "eval", status)


@pytest.mark.parametrize("terminal", [True, False], ids=["live", "plain"])
@pytest.mark.parametrize("text", tenant.TEXTS.values(), ids=tenant.TEXTS)
def test_texts_of_others_are_shown_as_they_are_and_do_nothing(text: str, terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=200, color_system=None)
    one = run(text)
    with LiveDisplay(console) if terminal else PlainDisplay(console) as display:
        display.show([one])
        display.tell(text)
        for line in one.failure():
            display.tell(line)
        display.show([one])
    console.print(Figures(score_table(one), "scores"))
    said = out.getvalue()
    for bad in ("\x1b]0;", "\x1b[2J", "\x07", "\u202e", "\u2028"):
        assert bad not in said
    if text.startswith("[/x]"):
        assert plain(text) in said
