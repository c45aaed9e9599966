"""Batches of encoded samples: sequences padded on the right, pictures one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fabula_workloads.training.encode import IGNORED


class Collator:
    """Joins encoded samples with any number of pictures each. Padding is masked, without label and of text type."""

    def __init__(self, pad_token_id: int) -> None:
        self._padding = {"input_ids": pad_token_id, "labels": IGNORED, "mm_token_type_ids": 0}

    def __call__(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The batch: the samples' tensors and `attention_mask`."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        lengths = torch.tensor([len(sample["input_ids"]) for sample in samples])
        batch = {
            name: pad_sequence([sample[name] for sample in samples], batch_first=True, padding_value=value)
            for name, value in self._padding.items()
        }
        batch["attention_mask"] = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
        for name in ("pixel_values", "image_grid_thw"):
            batch[name] = torch.cat([sample[name] for sample in samples])
        return batch
