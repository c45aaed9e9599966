"""Ways to train on the same samples: the reference's settings, and ours one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from data import Data, Encoded

from fabula_workloads.models.segments import packed_attention
from fabula_workloads.training.model.loss import LossHead
from fabula_workloads.training.model.recompute import recompute_layers
from fabula_workloads.training.schedule.packing import pack

STEP = 32
"""Samples of an optimizer step: the reference's 8 ranks x 1 x 4."""


@dataclass(frozen=True)
class Variant:
    """One of them."""

    name: str
    batch: int = 1
    """Samples of a pass, or packed sequences."""
    packed: bool = False
    grouped: bool = False
    """Samples of a step by length (training.groupByLength)."""
    few_logits: bool = True
    """Logits some at a time and only where a label follows, or all of them at once."""
    recompute_every: int = 1
    """As training.recomputeEvery; 0 is training.gradientCheckpointing false."""
    liger: bool = False

    def rows(self, data: Data, lengths: Sequence[int]) -> list[list[tuple[int, ...]]]:
        """The passes over the data, each with the samples of its rows."""
        if self.packed:
            rows = pack(lengths, data.capacity, seed=0)
        else:
            order = list(range(len(lengths)))
            if self.grouped:
                steps = (order[start : start + STEP] for start in range(0, len(order), STEP))
                order = [index for step in steps for index in sorted(step, key=lambda index: -lengths[index])]
            rows = [(index,) for index in order]
        return [rows[start : start + self.batch] for start in range(0, len(rows), self.batch)]

    def batches(self, data: Data, encoded: list[Encoded], collate: Callable[..., Any]) -> list[Any]:
        """The same as tensors."""
        passes = self.rows(data, [len(sample["input_ids"]) for sample in encoded])
        return [collate([[encoded[index] for index in row] for row in rows]) for rows in passes]

    def configure(self, tuned: Any, device: str) -> LossHead | None:
        """Make the model train this way; any variant can follow any other, but none without Liger one with it."""
        base = tuned.base_model.model
        attention = packed_attention() if self.packed else "sdpa"
        base.set_attn_implementation({"text_config": attention})
        if not self.recompute_every:
            base.activation_checkpointing_disable()
        elif self is REFERENCE:
            base.activation_checkpointing_enable({"use_reentrant": False}, every_n_layers=self.recompute_every)
        else:
            recompute_layers(base, self.recompute_every)
        base.get_output_embeddings().__dict__.pop("forward", None)
        return LossHead.attach(base) if self.few_logits else None


REFERENCE = Variant("reference: one sample a pass", few_logits=False)
_PACKED = Variant("packed", packed=True)
_FEWER = {"cpu": 0, "2B": 0, "4B": 4, "8B": 2, "32B": 2}
"""recompute_every that a GPU of 80 GB has room for with 8,192 tokens a pass. 32B, whose weights alone are 62 GiB,
needs one of 140."""


def variants(shape: str, *, liger: bool) -> list[Variant]:
    """Reference first, those with Liger last."""
    fewer = _FEWER[shape]
    less = replace(_PACKED, recompute_every=fewer, name=f"packed, {_recomputed(fewer)}")
    listed = [
        REFERENCE,
        Variant("padded, 8 samples a pass", batch=8),
        Variant("padded, 8 of similar length a pass", batch=8, grouped=True),
        _PACKED,
        less,
    ]
    if fewer > 1:
        listed.append(replace(_PACKED, recompute_every=0, name=f"packed, {_recomputed(0)}"))  # for larger GPUs
    if liger:
        listed.append(replace(less, liger=True, name=f"{less.name}, liger"))
    return listed


def _recomputed(every: int) -> str:
    return f"every {every}. layer recomputed" if every else "nothing recomputed"


def padding(passes: Sequence[Sequence[Sequence[int]]], lengths: Sequence[int]) -> float:
    """Share of the positions computed that hold no token."""
    room = sum(len(rows) * max(sum(lengths[index] for index in row) for row in rows) for rows in passes)
    return 1 - sum(lengths[index] for index in itertools.chain(*itertools.chain(*passes))) / room
