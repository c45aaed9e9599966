"""A watcher that answers: batches of clips watched side by side, each as it would be alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fabula_api.arms import Generation
from fabula_api.recipes.visual_instruction.watch import VisualInstructionEvalSpec, VisualInstructionWatch
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.inference.batches import in_batches
from fabula_workloads.inference.opening import Opening
from fabula_workloads.inference.request import Answer, Answers, Engine, Failure, Interrupted, Request, Work
from fabula_workloads.models.loading import Device, load_base
from fabula_workloads.recipes.visual_instruction.answer import SaidAt, WatchedAnswer
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.watcher import files
from fabula_workloads.recipes.visual_instruction.watcher.building import merged, watcher_of, words_of
from fabula_workloads.recipes.visual_instruction.watcher.encode import StreamWriter, seconds_heard
from fabula_workloads.recipes.visual_instruction.watcher.families import watcher_family
from fabula_workloads.recipes.visual_instruction.watcher.hearing import Ears
from fabula_workloads.recipes.visual_instruction.watcher.model import Watcher
from fabula_workloads.recipes.visual_instruction.watcher.shards import pictures_of, seconds_of
from fabula_workloads.recipes.visual_instruction.watcher.stream import begins_at, laid_out
from fabula_workloads.recipes.visual_instruction.watching.row import Spoken, View
from fabula_workloads.recipes.visual_instruction.watching.session import Session
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid

_log = logging.getLogger(__name__)
ROWS = 4
"""Clips that are watched at once where a run does not say how many."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A watcher with all that lays out its streams."""

    watcher: Watcher
    writer: StreamWriter
    ears: Ears | None


def load_watcher(model: Path, tuned: Path, pixels: PixelWindow, device: Device) -> Loaded:
    """The watcher that was trained on top of a model. Raises InputInvalid, UnfitAdapter."""
    config = files.read_config(tuned, "the adapter")
    words, vocabulary = words_of(model)
    if config.vocabulary != vocabulary:
        raise InputInvalid(
            f"the adapter is of a model with {config.vocabulary} tokens, and this one has {vocabulary}; name the model "
            "it was trained on"
        )
    language: Any = load_base(model, device=device, precision="bf16" if device == "cuda" else "fp32")
    family = watcher_family(str(language.config.model_type))(model, pixels, config.side, config.tune.pooling)
    if config.hears and family.sound_encoder is None:
        raise InputInvalid("the adapter was trained with sound, and this model's folder has no audio_encoder")
    language = merged(language, files.updates_of(tuned))
    watcher = watcher_of(language, family, config.tune, words, hears=config.hears)
    files.load_weights(watcher, tuned, "the adapter")
    ears = Ears(family.sound_encoder) if config.hears and family.sound_encoder is not None else None
    return Loaded(watcher.to(device).eval(), StreamWriter(words, family), ears)


def view_of(loaded: Loaded, sample: ClipSample, shard: Path, most_tokens: int) -> View:
    """A clip as a row of a session. Raises InputInvalid where its pictures cannot be read."""
    writer, clip = loaded.writer, sample.clip()
    first, end = seconds_heard(clip)
    sound = loaded.ears is not None and clip.sound and end > first
    heard = seconds_of(shard, first, end) if sound else None
    blocks = writer.blocks(clip, heard is not None and len(heard) == end - first, unasked=sample.unasked)
    user, segments = laid_out(blocks, writer.words.ids)
    script = []
    for turn in sample.turns:
        segment = begins_at(turn, sample.turns, segments) if turn.speaker == "model" else None
        if segment is not None:
            script.append((segment.place + 1, writer.reply(turn)))
    return View(
        user=tuple(user),
        segments=tuple(segments),
        positions=writer.family.positions(user),
        pixels=writer.family.pixels(pictures_of(shard, clip.frames)),
        sound=loaded.ears.features(heard) if sound and loaded.ears is not None and heard is not None else None,
        script=tuple(script),
        begins=sample.begins,
        most_tokens=most_tokens,
    )


class WatcherEngine:
    """Answers for an arm that was trained to watch."""

    def __init__(self, loaded: Loaded, watch: VisualInstructionWatch, generation: Generation) -> None:
        self._loaded, self._watch, self._generation = loaded, watch, generation
        self._rows = generation.batch_size or ROWS

    def answers(self, work: Work, interrupted: Interrupted) -> Answers:
        """See `Engine`."""
        return in_batches(work, self._rows, self.answer, interrupted)

    def answer(self, requests: Sequence[Request], interrupted: Interrupted) -> list[Answer | Failure]:
        """Watch a batch of clips."""
        views = [self._view(request) for request in requests]
        fit = [view for view in views if isinstance(view, View)]
        began = time.monotonic()
        with torch.inference_mode():
            session = Session(self._loaded.watcher, self._watch.threshold, self._watch.replies)
            told = iter(session.watch(fit, interrupted) if fit else ())
        seconds = (time.monotonic() - began) / max(1, len(fit))
        return [view if isinstance(view, Failure) else self._answer(next(told), seconds) for view in views]

    def _view(self, request: Request) -> View | Failure:
        sample = request.given
        if not isinstance(sample, ClipSample) or request.folder is None:
            raise ConfigInvalid("a watcher is asked about clips of visual-instruction's own sample sets")
        try:
            return view_of(self._loaded, sample, request.folder / sample.shard, self._generation.max_new_tokens)
        except InputInvalid as error:
            _log.warning("%s cannot be watched: %s", request.sample, error.message)
            return Failure("VideoUnfit")

    def _answer(self, said: list[Spoken] | None, seconds: float) -> Answer | Failure:
        if said is None:
            return Failure("NonFiniteLogits")
        words = self._loaded.writer.words
        replies = tuple(reply_of(reply, words.text(reply.tokens)) for reply in said)
        tokens = sum(len(reply.tokens) for reply in said)
        cut = bool(replies) and replies[0].finish == "length"
        return Answer(WatchedAnswer(replies=replies).written(), tokens, seconds, "length" if cut else "stop")


def reply_of(spoken: Spoken, text: str) -> SaidAt:
    """A reply as it is stored."""
    return SaidAt(
        at=round(spoken.at, 3),
        text=text,
        finish="interrupted" if spoken.interrupted else "stop" if spoken.ended else "length",
        decision_seconds=round(spoken.decision_seconds, 4),
        first_token_seconds=round(spoken.first_token_seconds, 4) if spoken.tokens or spoken.ended else None,
    )


def open_watcher(opening: Opening) -> Engine:
    """The arm's watcher; a model without one is polled."""
    spec = opening.spec
    if not isinstance(spec, VisualInstructionEvalSpec):
        raise ConfigInvalid("the evaluation is none of visual-instruction")
    if opening.tuned is None:
        from fabula_workloads.recipes.visual_instruction.watching.polling import open_polled

        return open_polled(opening, spec)
    loaded = load_watcher(opening.model, opening.tuned, spec.pixels, opening.device)
    return WatcherEngine(loaded, spec.visual_instruction, spec.generation)
