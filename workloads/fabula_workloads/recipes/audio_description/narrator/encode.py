"""From a sample to tensors, and from samples to a batch with both passes of the loss in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from fabula_api.recipes.audio_description.tune import AudioDescriptionTune
from fabula_workloads.models.family import FIGURES, IGNORED, Encoded, Needed
from fabula_workloads.recipe_parts.encoding import SampleTooLong
from fabula_workloads.recipes.audio_description.features.shards import Shards
from fabula_workloads.recipes.audio_description.narrator.frames import NONE, drawn, spaced
from fabula_workloads.recipes.audio_description.narrator.mapping import in_parts
from fabula_workloads.recipes.audio_description.narrator.sequence import Writer
from fabula_workloads.recipes.audio_description.sample import NarrationSample
from fabula_workloads.runtime.failures import InputInvalid


class OtherFeatures(InputInvalid):
    """Features are of another shape than all of a run's: of another bank or encoder."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The shape of a frame's features, and who expects it."""

    shape: tuple[int, ...]
    by: str
    instead: str
    """What would work, where others are found."""


class NarrationEncoder:
    """Encodes samples of one dataset folder."""

    def __init__(self, folder: Path, writer: Writer, tune: AudioDescriptionTune, expected: Expected, seed: int) -> None:
        """`seed` draws frames in training."""
        self._shards, self._writer, self._tune = Shards(folder), writer, tune
        self._expected, self._shape, self._seed = expected, expected.shape, seed

    def length(self, sample: NarrationSample) -> int:
        """Tokens of the longer of the sample's two rows. Raises SampleTooLong by the bound on descriptions."""
        if self._tune.objective == "text":
            return len(self._writer.alone()) + len(self._answer(sample.id, sample.text))
        self._check_shape(sample)
        prompt = self._writer.prompt(sample.characters, self._clips(sample))
        answers = [self._answer(sample.id, sample.text)]
        if sample.previous is not None:
            answers.append(self._answer(sample.id, sample.previous.text))
        return len(prompt) + max(map(len, answers if self._tune.contrast else answers[:1]))

    def check(self, sample: NarrationSample) -> None:
        """Read the sample's features. Raises InputInvalid."""
        self.encode(sample)

    def encode(self, sample: NarrationSample, epoch: int | None = None) -> Encoded:
        """`prompt`, `answer` and `other` (token ids), `frames` with `seen`, and `faces`. With an epoch, frames are
        drawn as training does."""
        if self._tune.objective == "text":
            return {"prompt": self._writer.alone(), "answer": self._writer.answer(sample.text), "other": None}
        prompt = self._writer.prompt(sample.characters, self._clips(sample))
        previous = sample.previous
        frames, seen = self._frames(sample, epoch)
        told = self._writer.told(sample.characters)
        faces = [self._face(sample, character.exemplar) for character in told if character.exemplar is not None]
        return {
            "prompt": prompt,
            "answer": self._writer.answer(sample.text),
            "other": self._writer.answer(previous.text) if previous is not None and self._tune.contrast else None,
            "frames": frames,
            "seen": seen,
            "faces": torch.cat(faces).float() if faces and self._faces_shown else None,
        }

    @property
    def _faces_shown(self) -> bool:
        return self._tune.character_prompt in ("role-actor-face", "role-face")

    def _answer(self, name: str, text: str) -> list[int]:
        ids, most = self._writer.answer(text), self._tune.max_answer_tokens
        if most and len(ids) - 1 > most:
            raise SampleTooLong(
                f"sample {name}: a description of {len(ids) - 1} tokens, and audioDescription.maxAnswerTokens is {most}"
            )
        return ids

    def _clips(self, sample: NarrationSample) -> int:
        """Clips with vectors of their own."""
        apart = self._tune.previous_clip == "apart" and sample.previous is not None and sample.previous.clip is not None
        return 2 if apart else 1

    def _frames(self, sample: NarrationSample, epoch: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """(clips, frames, parts, width), and which frames there are."""
        current = self._chosen(sample, sample.clip, epoch)
        how, previous = self._tune.previous_clip, sample.previous
        before = previous.clip if previous is not None else None
        if how == "none" or (how == "apart" and before is None):
            return current[None], torch.ones(1, len(current), dtype=torch.bool)
        there = torch.ones(len(current), dtype=torch.bool)
        # A clip that has none before it keeps its place behind the frames that are not there.
        first = torch.zeros_like(current) if before is None else self._chosen(sample, before, epoch)
        if how == "apart":
            return torch.stack([first, current]), torch.stack([there, there])
        return torch.cat([first, current])[None], torch.cat([there if before else ~there, there])[None]

    def _chosen(self, sample: NarrationSample, clip: str, epoch: int | None) -> torch.Tensor:
        read = self._shards.read(sample.features, clip)
        self._check(sample, clip, tuple(read.shape[1:]))
        features = in_parts(read, self._shape)
        wanted, tune = self._tune.frames, self._tune
        if epoch is not None and tune.frame_selection == "segments":
            places = drawn(len(features), wanted, f"{self._seed}/{epoch}/{sample.id}/{clip}")
        else:
            places = spaced(len(features), wanted, repeat=tune.prompt_profile == "mad" and epoch is None)
        taken: torch.Tensor = features[torch.tensor([max(place, 0) for place in places])].float()
        taken[torch.tensor(places) == NONE] = 0
        return taken

    def _face(self, sample: NarrationSample, key: str) -> torch.Tensor:
        face: torch.Tensor = self._shards.read(sample.exemplars, key)
        if face.shape[-1] != self._shape[-1] or (len(self._shape) > 1 and face.shape != self._shape):
            raise OtherFeatures(
                f"sample {sample.id}: the exemplar {key} has features {list(face.shape)}, but a frame's are "
                f"{list(self._shape)}; use exemplars and a bank of one model"
            )
        return face.reshape(1, -1, self._shape[-1])

    def _check_shape(self, sample: NarrationSample) -> None:
        self._check(sample, sample.clip, self._shards.shape(sample.features, sample.clip)[1:])

    def _check(self, sample: NarrationSample, clip: str, shape: tuple[int, ...]) -> None:
        if shape != self._shape:
            raise OtherFeatures(
                f"sample {sample.id}: clip {clip} has features {list(shape)} of a frame, but {self._expected.by} "
                f"{list(self._shape)}; {self._expected.instead}"
            )


class Collator:
    """Joins encoded samples: a row for each sample's own description, then one for each that came before it."""

    def __init__(self, pad: int, shape: tuple[int, ...] | None, needed: Needed | None = None) -> None:
        """`shape` is None where there are no clips; `needed` counts the operations of a batch."""
        self._pad, self._shape, self._needed = pad, shape, needed

    def __call__(self, rows: Sequence[Sequence[Encoded]]) -> dict[str, Any]:
        """The batch."""
        samples = [sample for row in rows for sample in row]
        answers = [(number, sample["answer"], True) for number, sample in enumerate(samples)]
        others = [(number, sample["other"], False) for number, sample in enumerate(samples) if sample["other"]]
        texts = [(number, samples[number]["prompt"], answer, positive) for number, answer, positive in answers + others]
        ids = [torch.tensor(prompt + answer) for _, prompt, answer, _ in texts]
        targets = [torch.tensor([IGNORED] * len(prompt) + answer) for _, prompt, answer, _ in texts]
        lengths = [len(sequence) for sequence in ids]
        order = [number for number, *_ in texts]
        batch: dict[str, Any] = {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=self._pad),
            "targets": pad_sequence(targets, batch_first=True, padding_value=IGNORED),
            "attention_mask": (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long(),
            "sample_of": torch.tensor(order),
            "positive": torch.tensor([positive for *_, positive in texts]),
            "contrasted": torch.tensor([bool(sample["other"]) for sample in samples]),
            # One entry a sample: the loss is a mean over samples, however long they are and wherever they fall.
            "labels": torch.tensor([[IGNORED, 0]] * len(samples)),
        }
        if self._shape is not None:
            batch |= shown(samples, order, self._shape)
        labelled = sum(len(answer) for _, _, answer, _ in texts)
        batch[FIGURES] = {
            "tokens": sum(lengths),
            "samples": len(samples),
            "flops": self._needed(lengths, labelled, _rows_of(batch)) if self._needed else 0.0,
            "lengths": tuple(lengths),
        }
        return batch


def _rows_of(batch: dict[str, Any]) -> tuple[tuple[int, ...], ...]:
    """(rows, frames, parts) of clips, and of faces; nothing where there are no clips."""
    if "frames" not in batch:
        return ()
    faces = batch["faces"]
    return tuple(batch["frames"].shape[:3]), (len(faces), 1, faces.shape[1])


def shown(samples: Sequence[Encoded], order: Sequence[int], shape: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Frames and faces of the samples, and which of them fill the places of rows in this order of samples."""
    clips, faces = [0], [0]
    for sample in samples:
        clips.append(clips[-1] + len(sample["frames"]))
        faces.append(faces[-1] + (0 if sample["faces"] is None else len(sample["faces"])))
    given = [sample["faces"] for sample in samples if sample["faces"] is not None]
    parts = samples[0]["frames"].shape[2:]
    return {
        "frames": torch.cat([sample["frames"] for sample in samples]),
        "frames_seen": torch.cat([sample["seen"] for sample in samples]),
        "faces": torch.cat(given) if given else torch.zeros(1, *parts),
        "clip_of": torch.tensor(
            [clip for number in order for clip in range(clips[number], clips[number + 1])], dtype=torch.long
        ),
        "face_of": torch.tensor(
            [face for number in order for face in range(faces[number], faces[number + 1])], dtype=torch.long
        ),
    }
