"""Sampling that belongs to the answer: each row of a batch draws from a generator of its own.

torch's global generator is shared by the rows of a batch, so an answer would depend on its neighbours. Here a row takes
one number a token, and the token is the one at which the distribution's sum passes it. The numbers are drawn on the
CPU, so that a seed gives the same on every device, and many at a time, so that no token waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

_DRAWN_AT_ONCE = 256
"""Numbers of a row that are brought to the device together."""


class FiniteLogits(LogitsProcessor):  # type: ignore[misc]
    """Remembers the rows whose logits were not numbers: their text means nothing."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._broken: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        missing = torch.isnan(scores)
        rows = missing.any(dim=-1)
        self._broken = rows if self._broken is None else self._broken | rows  # on the device: no token waits to be told
        return scores.masked_fill(missing, torch.finfo(scores.dtype).min)

    @property
    def broken(self) -> list[bool]:
        """For each row, whether any of its logits so far was no number."""
        return [False] * self._rows if self._broken is None else self._broken.tolist()


class InverseCdf(LogitsProcessor):  # type: ignore[misc]
    """Turns greedy decoding into sampling from the softmax of the scores, with one seeded generator for each row."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        self._numbers = torch.empty(len(seeds), 0)
        self._taken = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        # In fp64 the sum over 152k words is exact to far less than the smallest share that bf16 logits can tell apart.
        sums = torch.softmax(scores, dim=-1, dtype=torch.float64).cumsum(dim=-1)
        total = sums[:, -1:]
        # Below the total even where rounding would reach it: there a word without any share could be found.
        passed = torch.minimum(self._next(scores.device) * total, torch.nextafter(total, torch.zeros_like(total)))
        drawn = torch.searchsorted(sums, passed, right=True)
        return torch.full_like(scores, float("-inf")).scatter_(1, drawn, 0.0)

    def _next(self, device: torch.device) -> torch.Tensor:
        """One number for each row, (rows, 1)."""
        if self._taken == self._numbers.shape[1]:
            rows = [
                torch.rand(_DRAWN_AT_ONCE, generator=generator, dtype=torch.float64) for generator in self._generators
            ]
            self._numbers, self._taken = torch.stack(rows).to(device), 0
        self._taken += 1
        return self._numbers[:, self._taken - 1 : self._taken]


class StopWhen(StoppingCriteria):  # type: ignore[misc]
    """Ends generation at the next token: a long answer must not outlive the pod's grace period."""

    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self._interrupted = interrupted

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._interrupted(), dtype=torch.bool, device=input_ids.device)


def processors(
    seeds: Sequence[int], *, temperature: float, top_p: float, top_k: int
) -> tuple[LogitsProcessorList, FiniteLogits]:
    """Logits processors for one batch, to be used with greedy decoding. Temperature 0 draws nothing: plain greedy.

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
        chain.append(InverseCdf(seeds))
    return LogitsProcessorList(chain), check
