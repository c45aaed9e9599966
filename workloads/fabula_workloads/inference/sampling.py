"""Sampling that belongs to the answer: each row of a batch draws from a generator of its own.

torch's global generator is shared by the rows of a batch, so an answer would depend on its neighbours. Adding Gumbel
noise to the logits and taking the greatest is the same distribution as sampling, and the noise can be drawn by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper


class FiniteLogits(LogitsProcessor):  # type: ignore[misc]
    """Remembers the rows whose logits were not numbers: their text means nothing."""

    def __init__(self, rows: int) -> None:
        self.broken = [False] * rows

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for row, broken in enumerate(torch.isnan(scores).any(dim=-1).tolist()):
            self.broken[row] = self.broken[row] or broken
        return torch.nan_to_num(scores, nan=torch.finfo(scores.dtype).min)


class GumbelNoise(LogitsProcessor):  # type: ignore[misc]
    """Turns greedy decoding into sampling from the softmax of the scores, with one seeded generator for each row."""

    def __init__(self, seeds: Sequence[int]) -> None:
        # On the CPU, so that a seed gives the same numbers on every device.
        self._generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        size = scores.shape[-1]
        uniform = torch.stack([torch.rand(size, generator=generator) for generator in self._generators])
        noise = -torch.log(-torch.log(uniform.clamp_(1e-20, 1 - 1e-7)))
        return scores.float() + noise.to(scores.device)


class Interrupted(StoppingCriteria):  # type: ignore[misc]
    """Ends generation at the next token: a long answer must not outlive the pod's grace period."""

    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self._interrupted = interrupted

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._interrupted(), dtype=torch.bool, device=input_ids.device)


def processors(
    seeds: Sequence[int], *, temperature: float, top_p: float, top_k: int
) -> tuple[LogitsProcessorList, FiniteLogits]:
    """Logits processors for one batch, to be used with greedy decoding. Temperature 0 adds no noise: plain greedy.

    `top_k` 0 keeps every token.
    """
    check = FiniteLogits(len(seeds))
    chain: list[Any] = [check]
    if temperature > 0:
        chain.append(TemperatureLogitsWarper(temperature))
        if top_k > 0:
            chain.append(TopKLogitsWarper(top_k))
        if top_p < 1:
            chain.append(TopPLogitsWarper(top_p))
        chain.append(GumbelNoise(seeds))
    return LogitsProcessorList(chain), check
