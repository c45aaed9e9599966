"""The order of samples: seeded, one for all ranks, and the same for any world size.

Each rank shuffling its own copy is how a third of a dataset goes unseen in "one epoch"; here every rank derives the
one global order and takes its slices of it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

from fabula_workloads.training.schedule.steps import StepPlan


def epoch_order(items: int, seed: int, epoch: int) -> list[int]:
    """Indices of all samples (or packed sequences) in the order of one epoch; depends on nothing else."""
    order = list(range(items))
    random.Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311 - an order, not a secret
    return order


def rank_batches(
    plan: StepPlan, order: list[int], rank: int, lengths: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """The batches of one rank in an epoch.

    Pass k of all ranks together takes the next world_size * batch items of the order, rank by rank; the end is filled
    from the beginning of the order. So an update sees the same items whatever number of ranks shares it.

    With the items' `lengths`, those of each update are taken longest first: a batch then holds similar lengths, and the
    ranks of a pass have about as much to do. Which items an update sees stays the same.
    """
    size = plan.per_device_batch_size
    filled = list(itertools.islice(itertools.cycle(order), plan.items + plan.padding))
    if lengths is not None:
        update = plan.world_size * size * plan.gradient_accumulation_steps
        for start in range(0, len(filled), update):
            filled[start : start + update] = sorted(filled[start : start + update], key=lambda item: -lengths[item])
    for batch in range(plan.batches):
        start = (batch * plan.world_size + rank) * size
        yield filled[start : start + size]


class Coverage:
    """How many different samples the first steps of a run have seen. From the order that the ranks follow."""

    def __init__(self, plan: StepPlan, rows: Sequence[Sequence[int]], seed: int) -> None:
        """`rows` are the samples of each item."""
        self._plan = plan
        sizes = (len(rows[item]) for item in epoch_order(plan.items, seed, 0))
        self._seen = [0, *itertools.accumulate(sizes)]

    def unique(self, step: int) -> int:
        """Samples seen at least once after that many optimizer steps."""
        batches = min(step * self._plan.gradient_accumulation_steps, self._plan.batches)
        taken = batches * self._plan.world_size * self._plan.per_device_batch_size
        return self._seen[min(taken, self._plan.items)]


class RankBatches:
    """A batch sampler for torch's DataLoader over `rank_batches`, one epoch at a time."""

    def __init__(self, plan: StepPlan, seed: int, rank: int, lengths: Sequence[int] | None = None) -> None:
        """`lengths` of the items, where batches are to hold similar ones."""
        self._plan, self._seed, self._rank, self._lengths = plan, seed, rank, lengths
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        order = epoch_order(self._plan.items, self._seed, self._epoch)
        return rank_batches(self._plan, order, self._rank, self._lengths)

    def __len__(self) -> int:
        return self._plan.batches


class EpochBatches(RankBatches):
    """As RankBatches, with items numbered on from epoch to epoch: loaders' processes, which know no epoch, can draw by
    the number what an epoch draws anew."""

    def __iter__(self) -> Iterator[list[int]]:
        before = self._epoch * self._plan.items
        batches = super().__iter__()
        return ([before + item for item in batch] for batch in batches)
