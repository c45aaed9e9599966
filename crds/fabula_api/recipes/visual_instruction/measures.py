"""The metrics of watching, and what judges are asked about it."""

from __future__ import annotations

from fabula_api.metrics.record import Definition, Metric
from fabula_api.rubrics import Rubric, Scale

_SCORING = "fabula_workloads.recipes.visual_instruction.scoring"

METRICS = (
    Metric(
        name="visual-instruction/time",
        title="Time accuracy",
        unit="share of replies in their span or up to 2 s after it",
        shown=".3f",
        better="higher",
        over="evaluation",
        definitions={
            "v2": Definition("the first reply's second against the span", f"{_SCORING}.measures:time"),
            "paper-v1": Definition("the first reply's second against the span", f"{_SCORING}.measures:time"),
        },
        headline=True,
        place=10,
    ),
    Metric(
        name="visual-instruction/words",
        title="Shared words",
        unit="F measure of words shared with the reference",
        shown=".3f",
        better="higher",
        over="evaluation",
        definitions={"v2": Definition("words in any order, case and marks apart", f"{_SCORING}.measures:words")},
        place=20,
    ),
    Metric(
        name="visual-instruction/feedback",
        title="Feedback",
        unit="judges' points of 5, 0 where late; 5 or 0 for a choice",
        shown=".2f",
        better="higher",
        over="evaluation",
        definitions={
            "v2": Definition("mean over samples; letters read as letters", f"{_SCORING}.measures:feedback"),
            "paper-v1": Definition("the first capital A to E is the letter", f"{_SCORING}.measures:feedback"),
        },
        place=30,
    ),
    Metric(
        name="visual-instruction/right",
        title="Right answers",
        unit="share of questions answered right",
        shown=".3f",
        better="higher",
        over="evaluation",
        definitions={
            "v2": Definition("letters as letters, yes and no as words, one number", f"{_SCORING}.measures:right"),
            "paper-v1": Definition("by the published scripts of each benchmark", f"{_SCORING}.measures:right"),
        },
        place=40,
    ),
    Metric(
        name="visual-instruction/delay",
        title="Delay",
        unit="seconds from a span's beginning to the reply",
        shown=".2f",
        over="evaluation",
        definitions={"v2": Definition("of those that spoke", f"{_SCORING}.measures:delay")},
        place=50,
    ),
    Metric(
        name="visual-instruction/decision",
        title="Decision",
        unit="seconds of work from the frame to the decision",
        shown=".3f",
        better="lower",
        over="evaluation",
        definitions={"v2": Definition("of those that spoke", f"{_SCORING}.measures:decision")},
        place=55,
    ),
    Metric(
        name="visual-instruction/first-token",
        title="First word",
        unit="seconds of work from the decision to the first word",
        shown=".3f",
        better="lower",
        over="evaluation",
        definitions={"v2": Definition("of those that spoke", f"{_SCORING}.measures:first_token")},
        place=60,
    ),
    Metric(
        name="visual-instruction/real-time",
        title="Real-time factor",
        unit="seconds of work for a second of video",
        shown=".2f",
        better="lower",
        over="evaluation",
        definitions={"v2": Definition("a batch's time, divided by its clips", f"{_SCORING}.measures:real_time")},
        place=70,
    ),
)
FEEDBACK = Rubric(
    name="visual-feedback",
    task="The answer is what an assistant said to something that it saw in a video, unasked. Points say how well it "
    "fits what is to be seen, by the reference.",
    scale=Scale(min=0, max=5),
    pictures=False,
    reference=True,
)
"""What a judge of feedback is asked where a sample's subtask has no scale of its own: `rubrics` has those that have."""
