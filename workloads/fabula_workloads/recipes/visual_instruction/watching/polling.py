"""A model that was not trained to watch: asked again and again whether it is time to speak, and if it is, what it says.

It is asked from the moment at which it may speak to the end of what there is to see. Nothing that it is asked, and no
moment at which it is asked, depends on when the reply is awaited.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from fabula_api.arms import Generation
from fabula_api.eval_run import EvalRunSpec
from fabula_api.recipes.visual_instruction.watch import VisualInstructionEvalSpec
from fabula_workloads.inference.opening import Opening
from fabula_workloads.inference.request import Answer, Answers, Engine, Failure, Interrupted, Request, Work
from fabula_workloads.recipes.visual_instruction.answer import SaidAt, WatchedAnswer
from fabula_workloads.recipes.visual_instruction.benchmarks.answers import yes_or_no
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.watcher.shards import pictures_of
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.runtime.in_flight import in_flight

_ASKED = "These pictures are frames of a video up to now, in order."
_DUE = "Is this the moment to say something to what can be seen? Answer yes or no."
_SAY = "Say it in one or two sentences."
_SHORT = 8


class Chat(Protocol):
    """A chat model that sees pictures."""

    def answer(self, requests: list[Request], interrupted: Interrupted) -> list[Answer | Failure]:
        """One answer for each."""

    def tell(self, request: Request, say: Callable[[str], None]) -> Answer | Failure:
        """The answer to one, of which `say` is given the text in pieces as they come."""


class PolledEngine:
    """Answers for an arm without a head. `asks` answers in a word, `says` in sentences."""

    def __init__(self, asks: Chat, says: Chat, every_seconds: float, concurrency: int = 1) -> None:
        self._asks, self._says, self._every, self._concurrency = asks, says, every_seconds, concurrency

    def answers(self, work: Work, interrupted: Interrupted) -> Answers:
        """See `Engine`. Each question about a clip follows from the answer before; several clips may be asked about."""

        def requests() -> Iterator[Request]:
            while not interrupted() and (batch := work(1)):
                yield from batch

        def watched(request: Request) -> Answer | Failure:
            return self._watched(request, interrupted)

        with closing(in_flight(requests(), watched, self._concurrency, threading.Event())) as at_work:
            for request, answer in at_work:
                if interrupted():
                    return
                yield request, answer

    def _watched(self, request: Request, interrupted: Interrupted) -> Answer | Failure:
        sample = request.given
        if not isinstance(sample, ClipSample) or request.folder is None:
            raise ConfigInvalid("a model is polled about clips of visual-instruction's own sample sets")
        try:
            pictures = pictures_of(request.folder / sample.shard, sample.frames)
        except InputInvalid:
            return Failure("VideoUnfit")
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, picture in enumerate(pictures):
                paths.append(Path(folder) / f"{number:04d}.png")
                picture.save(paths[-1])
            return self._poll(request, sample, paths, interrupted)

    def _poll(
        self, request: Request, sample: ClipSample, paths: list[Path], interrupted: Interrupted
    ) -> Answer | Failure:
        said = " ".join(f"{'Person' if turn.speaker == 'user' else 'You'}: {turn.text}" for turn in sample.turns)
        seconds, tokens, decided = 0.0, 0, None
        for at in self.moments(sample):
            if interrupted():
                break
            seen = tuple(path for path, moment in zip(paths, sample.frames, strict=True) if moment <= at)
            if sample.unasked:
                (due,) = self._asks.answer([asked_of(request, seen, f"{_ASKED} {said} {_DUE}")], interrupted)
                if isinstance(due, Failure):
                    return due
                seconds, tokens, decided = seconds + due.seconds, tokens + due.tokens, due.seconds
                if yes_or_no(due.text) is not True:
                    continue
            prompt = f"{_ASKED} {said} {_SAY if sample.unasked else ''}"
            answer, first = self._told(asked_of(request, seen, prompt))
            if isinstance(answer, Failure):
                return answer
            reply = SaidAt(
                at=at, text=answer.text, finish=answer.finish,
                decision_seconds=None if decided is None else round(decided, 4),
                first_token_seconds=None if first is None else round(first, 4),
            )  # fmt: skip
            whole = WatchedAnswer(replies=(reply,)).written()
            return Answer(whole, tokens + answer.tokens, seconds + answer.seconds, answer.finish)
        return Answer(WatchedAnswer().written(), tokens, seconds, "stop")

    def _told(self, asked: Request) -> tuple[Answer | Failure, float | None]:
        """What it says, and seconds until its first word; None where it has none."""
        began, words = time.monotonic(), list[float]()
        answer = self._says.tell(asked, lambda _: words.append(time.monotonic() - began))
        return answer, words[0] if words else None

    def moments(self, sample: ClipSample) -> list[float]:
        """When it is asked: every so many seconds while there is something to see, or at the question."""
        if not sample.unasked:
            return [max(sample.begins, sample.frames[0])]
        moments, at = [], max(sample.begins, sample.start) + self._every
        while at <= sample.end:
            moments.append(at)
            at += self._every
        return moments


def asked_of(request: Request, seen: tuple[Path, ...], prompt: str) -> Request:
    """A question about what was seen of a clip so far."""
    return Request(request.sample, request.seed, seen, prompt)


class Served:
    """A server's model as a `Chat`."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def answer(self, requests: list[Request], interrupted: Interrupted) -> list[Answer | Failure]:
        """See `Chat`."""
        return [self._engine.answer(request) for request in requests]

    def tell(self, request: Request, say: Callable[[str], None]) -> Answer | Failure:
        """See `Chat`."""
        answer: Answer | Failure = self._engine.tell(request, say)
        return answer


def poll_served(spec: EvalRunSpec, opened: Callable[[Generation], Any], concurrency: int) -> Engine:
    """A model that a server has: an arm as any other. Raises ConfigInvalid."""
    if not isinstance(spec, VisualInstructionEvalSpec):
        raise ConfigInvalid("the evaluation is none of visual-instruction")
    asks, says = (
        Served(opened(Generation(temperature=0, max_new_tokens=most)))
        for most in (_SHORT, spec.generation.max_new_tokens)
    )
    return PolledEngine(asks, says, spec.visual_instruction.poll_seconds, concurrency)


def open_polled(opening: Opening, spec: VisualInstructionEvalSpec) -> Engine:
    """A chat model of an installed family."""
    from fabula_workloads.inference.transformers_engine import TransformersEngine

    greedy = Generation(temperature=0, max_new_tokens=spec.generation.max_new_tokens, batch_size=1)
    says = TransformersEngine(opening.model, None, device=opening.device, pixels=spec.pixels, generation=greedy)
    return PolledEngine(says.in_tokens(_SHORT), says, spec.visual_instruction.poll_seconds)
