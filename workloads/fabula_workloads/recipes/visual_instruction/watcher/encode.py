"""From a sample to the tensors of its two streams, and from samples to a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fabula_workloads.models.family import FIGURES, Encoded
from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn
from fabula_workloads.recipes.visual_instruction.sample import VideoSample
from fabula_workloads.recipes.visual_instruction.watcher.families import WatcherFamily
from fabula_workloads.recipes.visual_instruction.watcher.hearing import TOKENS, Ears
from fabula_workloads.recipes.visual_instruction.watcher.model import in_rows
from fabula_workloads.recipes.visual_instruction.watcher.prompts import ANSWER, WATCH
from fabula_workloads.recipes.visual_instruction.watcher.shards import pictures_of, seconds_of
from fabula_workloads.recipes.visual_instruction.watcher.stream import (
    IGNORED,
    Asked,
    Block,
    Reply,
    Streams,
    blocks_of,
    two_streams,
)
from fabula_workloads.recipes.visual_instruction.watcher.tokens import Words


class StreamWriter:
    """Lays samples out as streams, with one tokenizer and one family."""

    def __init__(self, words: Words, family: WatcherFamily) -> None:
        self.words, self.family = words, family
        high, wide = family.grid
        self._picture_tokens = high * wide

    def blocks(self, sample: VideoSample, sound: bool, *, unasked: bool) -> list[Block]:
        """The user's stream in blocks. `unasked`: something is to be said that nobody asks for."""
        texts = [self._asked(turn, sample.turns[place + 1 :]) for place, turn in enumerate(sample.turns)
                 if turn.speaker == "user"]  # fmt: skip
        system = self.words.ids_of(WATCH if unasked else ANSWER)
        first, end = seconds_heard(sample)
        sounds = [max(float(second), sample.start) for second in range(first, end)] if sound else []
        quiet = self.words.ids.quiet
        return blocks_of(system, sample.frames, self._picture_tokens, texts, sounds, TOKENS, quiet)

    def _asked(self, turn: Turn, after: Sequence[Turn]) -> Asked:
        """A turn of the user; what follows in the same moment waits for its answer."""
        next_one = next((number for number, turn in enumerate(after) if turn.speaker == "user"), None)
        wait = 0
        if next_one is not None and after[next_one].at == turn.at:
            wait = sum(len(self.words.reply(later.text, unasked=later.unasked)) for later in after[:next_one])
        return Asked(turn.at, self.words.ids_of(turn.text), wait)

    def streams(self, sample: VideoSample, sound: bool) -> Streams:
        """Both streams, to learn from."""
        replies = [self.reply(turn) for turn in sample.turns if turn.speaker == "model"]
        unasked = any(turn.unasked for turn in sample.turns)
        blocks = self.blocks(sample, sound, unasked=unasked)
        return two_streams(blocks, replies, sample.turns, self.words.ids, learn_when=sample.learn_when)

    def reply(self, turn: Turn) -> Reply:
        """A turn of the model as tokens."""
        return Reply(turn, self.words.reply(turn.text, unasked=turn.unasked))


def seconds_heard(sample: VideoSample) -> tuple[int, int]:
    """The whole seconds of sound that a sample has: first, and the one after the last."""
    first = math.floor(sample.start)
    return first, max(first, math.floor(sample.end))


class WatcherEncoder:
    """Encodes samples of one dataset folder."""

    def __init__(self, folder: Path, writer: StreamWriter, ears: Ears | None) -> None:
        self._folder, self._writer, self._ears = folder, writer, ears

    def length(self, sample: VideoSample) -> int:
        """Positions of the sample's streams."""
        return len(self._writer.streams(sample, self._sounds(sample)))

    def check(self, sample: VideoSample) -> None:
        """Read the sample's pictures and sound. Raises InputInvalid."""
        self.encode(sample)

    def encode(self, sample: VideoSample, epoch: int | None = None) -> Encoded:
        """`user`, `agent`, `targets`, `positions`, `pixels`, `decisions`, and `sound` where there is any."""
        sound = self._sounds(sample)
        heard = seconds_of(self._folder / sample.shard, *seconds_heard(sample)) if sound else None
        if heard is not None and not len(heard):
            heard, sound = None, False
        streams = self._writer.streams(sample, sound)
        pictures = pictures_of(self._folder / sample.shard, sample.frames)
        if heard is not None:
            first, end = seconds_heard(sample)
            if len(heard) < end - first:  # the sound ends before the pictures
                silence = torch.zeros(end - first - len(heard), heard.shape[1], dtype=torch.int16).numpy()
                heard = _joined(heard, silence)
        return {
            "user": torch.tensor(streams.user),
            "agent": torch.tensor(streams.agent),
            "targets": torch.tensor(streams.targets),
            "positions": self._writer.family.positions(streams.user),
            "pixels": self._writer.family.pixels(pictures),
            "decisions": [(decision.place, decision.wanted) for decision in streams.decisions],
            "sound": self._ears.features(heard) if heard is not None and self._ears is not None else None,
        }

    def _sounds(self, sample: VideoSample) -> bool:
        first, end = seconds_heard(sample)
        return self._ears is not None and sample.sound and end > first


def _joined(first: Any, second: Any) -> Any:
    import numpy as np

    return np.concatenate([first, second])


class Collator:
    """Joins encoded samples; every stream begins at position 0, so nothing has to be masked."""

    def __init__(self, quiet: int, needed: Any = None, silence: torch.Tensor | None = None) -> None:
        """`silence`: features of one second for batches without sound, where the model hears."""
        self._quiet, self._needed, self._silence = quiet, needed, silence

    def __call__(self, rows: Sequence[Sequence[Encoded]]) -> dict[str, Any]:
        """The batch."""
        samples = [sample for row in rows for sample in row]
        lengths = [len(sample["user"]) for sample in samples]
        placed = [(row, *decision) for row, sample in enumerate(samples) for decision in sample["decisions"]]
        sounds = [sample["sound"] for sample in samples if sample["sound"] is not None]
        batch: dict[str, Any] = {
            "user": in_rows([sample["user"] for sample in samples], self._quiet),
            "agent": in_rows([sample["agent"] for sample in samples], self._quiet),
            "targets": in_rows([sample["targets"] for sample in samples], IGNORED),
            "positions": torch.stack([_longer(sample["positions"], max(lengths)) for sample in samples], dim=1),
            "pixels": torch.cat([sample["pixels"] for sample in samples]),
            "decide_row": torch.tensor([row for row, _, _ in placed], dtype=torch.long),
            "decide_place": torch.tensor([place for _, place, _ in placed], dtype=torch.long),
            "decide_wanted": torch.tensor([wanted for _, _, wanted in placed], dtype=torch.bool),
            # One entry a sample: the loss is a mean over samples.
            "labels": torch.tensor([[IGNORED, 0]] * len(samples)),
        }
        if sounds or self._silence is not None:
            batch["sound"] = torch.cat(sounds) if sounds else self._silence
        labelled = sum(int((sample["targets"] != IGNORED).sum()) for sample in samples)
        batch[FIGURES] = {
            "tokens": sum(lengths),
            "samples": len(samples),
            "flops": self._needed(lengths, labelled, ()) if self._needed else 0.0,
            "lengths": tuple(lengths),
        }
        return batch


def _longer(positions: torch.Tensor, length: int) -> torch.Tensor:
    """Positions that go on one by one up to a length."""
    more = length - positions.shape[1]
    if more <= 0:
        return positions
    last = positions.max() + 1 + torch.arange(more)
    return torch.cat([positions, last.expand(3, -1)], dim=1)
