"""Batches of encoded samples: padded rows, or one packed row; pictures one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fabula_workloads.recipe_parts import Encoded
from fabula_workloads.training.samples import measures
from fabula_workloads.training.samples.encode import IGNORED

Needed = Callable[[Sequence[int], int, Sequence[Sequence[int]]], float]
"""Operations for samples of these lengths, that many labelled tokens and these picture grids."""


class Collator:
    """Joins encoded samples with any number of pictures each. Padding is masked, without label and of text type."""

    def __init__(self, pad_token_id: int, needed: Needed | None = None) -> None:
        """`needed` counts the operations of a batch; without it they are 0."""
        self._needed = needed
        self._padding = {"input_ids": pad_token_id, "labels": IGNORED, "mm_token_type_ids": 0}

    def __call__(self, rows: Sequence[Sequence[Encoded]]) -> dict[str, Any]:
        """The batch: the samples' tensors and `attention_mask`."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        samples = [sample for row in rows for sample in row]
        lengths = torch.tensor([len(sample["input_ids"]) for sample in samples])
        batch = {
            name: pad_sequence([sample[name] for sample in samples], batch_first=True, padding_value=value)
            for name, value in self._padding.items()
        }
        batch["attention_mask"] = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
        return batch | _pictures(samples) | {measures.KEY: _figures(samples, self._needed)}


class PackedCollator:
    """Joins samples into one row without padding. Positions start anew with each sample, the picture's 3D ones too."""

    def __init__(self, positions: Callable[..., Any], needed: Needed | None = None) -> None:
        """`positions` is the model's own rule (`models.segments.rope_index`); `needed` as in `Collator`."""
        self._positions, self._needed = positions, needed

    def __call__(self, rows: Sequence[Sequence[Encoded]]) -> dict[str, Any]:
        """The batch: the joined tensors, `position_ids` (4, 1, length), `segments` (lengths of the samples) and
        `logits_to_keep`: only where a label follows are logits worth their memory."""
        import torch

        samples = [sample for row in rows for sample in row]
        labels = [sample["labels"].clone() for sample in samples]
        for label in labels:
            label[0] = IGNORED  # no sample's first token is predicted from the sample before it
        joined = torch.cat(labels)
        positions = []
        for sample in samples:
            ids, types = sample["input_ids"][None], sample["mm_token_type_ids"][None]
            place = torch.arange(ids.shape[1])[None, None]
            positions.append(torch.cat([place, self._positions(ids, types, sample["image_grid_thw"])]))
        return {
            "input_ids": torch.cat([sample["input_ids"] for sample in samples])[None],
            "labels": joined[None],
            "position_ids": torch.cat(positions, dim=2),
            "segments": tuple(len(sample["input_ids"]) for sample in samples),
            "logits_to_keep": torch.nonzero(joined[1:] != IGNORED).flatten(),
            **_pictures(samples),
            measures.KEY: _figures(samples, self._needed),
        }


def _pictures(samples: Sequence[Encoded]) -> dict[str, Any]:
    import torch

    return {name: torch.cat([sample[name] for sample in samples]) for name in ("pixel_values", "image_grid_thw")}


def _figures(samples: Sequence[Encoded], needed: Needed | None) -> dict[str, Any]:
    """What `Measures` adds up, and the samples' lengths, as plain numbers: counted here, in a loader's process, they
    cost the GPU no wait."""
    lengths = [len(sample["input_ids"]) for sample in samples]
    flops = 0.0
    if needed is not None:
        labelled = sum(int((sample["labels"][1:] != IGNORED).sum()) for sample in samples)
        flops = needed(lengths, labelled, [grid for sample in samples for grid in sample["image_grid_thw"].tolist()])
    return {"tokens": sum(lengths), "samples": len(samples), "flops": flops, "lengths": tuple(lengths)}
