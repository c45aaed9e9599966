"""A sample of this recipe's evaluations: a clip to watch, what is said in it already, and what is awaited when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fabula_api.recipes.visual_instruction.build import Task
from fabula_api.rubrics import Rubric
from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn
from fabula_workloads.recipes.visual_instruction.answer import read_answer
from fabula_workloads.recipes.visual_instruction.benchmarks.reply import MARGIN, Reply, Span
from fabula_workloads.recipes.visual_instruction.rubrics import FEEDBACK, rubric_for
from fabula_workloads.recipes.visual_instruction.sample import VideoSample
from fabula_workloads.samples.sample_set import EvaluationSample, PartPath

Bench = Literal["feedback", "streaming", "ovo"]
"""Whose rules score it: those of ViSpeak-Bench, which a dataset's own samples have too, StreamingBench, OVO-Bench."""


class ClipSample(EvaluationSample):
    """One clip. `images` are a strip of its frames for people; models are shown what lies in `shard`."""

    bench: Bench = "feedback"
    source: str = ""
    video: str
    task: Task = "other"
    subtask: str = ""
    """Code of a benchmark's own, such as OP or EPM."""
    question: str = ""
    """What several samples have in common that ask the same at different moments."""
    start: float
    end: float
    shard: PartPath
    frames: tuple[float, ...]
    strip: tuple[float, ...] = ()
    """Moments of `images`."""
    sound: bool = False
    turns: tuple[Turn, ...] = ()
    """What is asked, and what the model is given as said by itself."""
    unasked: bool = True
    """Whether the awaited reply comes by itself."""
    begins: float = 0.0
    """Second from which the model may speak."""
    span: tuple[float, float] | None = None
    """In which the reply belongs; None where only its words count."""
    options: tuple[str, ...] = ()
    answer: str | None = None
    """What is right: a letter, yes or no, a count, or words that have to occur."""
    gesture: str | None = None

    def clip(self) -> VideoSample:
        """The same as a watcher's writer reads it."""
        return VideoSample(
            id=self.id, source=self.source, video=self.video, task=self.task, start=self.start, end=self.end,
            shard=self.shard, frames=self.frames, sound=self.sound, turns=self.turns, options=self.options,
            answer=self.answer,
        )  # fmt: skip

    def reply(self, text: str) -> Reply:
        """The reply that counts in a stored answer."""
        answer = read_answer(text)
        first = answer.first if answer is not None else None
        return Reply("", None) if first is None else Reply(first.text, first.at)

    def on_time(self, reply: Reply) -> bool:
        """Whether it came in its span, or within the margin after it; of StreamingBench, whose spans are moments,
        before it too. Silence is never on time."""
        if self.span is None:
            return False
        start, end = self.span
        return Span(start - MARGIN if self.bench == "streaming" else start, end).holds(reply.at, MARGIN)

    def asked_by(self, rubric: Rubric, answers: Sequence[str]) -> Rubric | None:
        """A judge of feedback is asked by the subtask's own rules, and only of replies on time."""
        if rubric.name != FEEDBACK.name:
            return rubric
        if self.span is None or not all(self.on_time(self.reply(text)) for text in answers):
            return None
        said = [f"{'person' if turn.speaker == 'user' else 'assistant'}: {turn.text}" for turn in self.turns]
        return rubric_for(self.task, self.gesture, said)
