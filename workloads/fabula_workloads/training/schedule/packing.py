"""The packing plan: which samples share a sequence. Drawn once from lengths and seed, the same for any world size.

A plan that each epoch drew anew would give epochs of different length, and a step could not be told from its number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

WINDOW = 1024
"""Samples that are packed together. Over the whole dataset first-fit decreasing would fill hardly better, but would
always put the longest beside the shortest; and its time grows with the square."""

Plan = list[tuple[int, ...]]
"""Packed sequences, each as indices of its samples."""


def pack(lengths: Sequence[int], capacity: int, seed: int, window: int = WINDOW) -> Plan:
    """Sequences of at most `capacity` tokens that hold every sample exactly once.

    First-fit decreasing by length within windows of the seeded order. Raises ValueError for a sample that fits nowhere.
    """
    order = list(range(len(lengths)))
    random.Random(f"{seed}/packing").shuffle(order)  # noqa: S311 - an order, not a secret
    plan: Plan = []
    for start in range(0, len(order), window):
        plan += _first_fit(order[start : start + window], lengths, capacity)
    return plan


def singly(samples: int) -> Plan:
    """The plan without packing: each sample alone."""
    return [(index,) for index in range(samples)]


def fill(plan: Plan, lengths: Sequence[int], capacity: int) -> float:
    """Share of the sequences' room that holds tokens, 0 to 1."""
    return sum(lengths[index] for row in plan for index in row) / (len(plan) * capacity)


def _first_fit(window: Sequence[int], lengths: Sequence[int], capacity: int) -> Plan:
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(window, key=lambda index: -lengths[index]):  # stable: equal lengths keep the seeded order
        length = lengths[index]
        if length > capacity:
            raise ValueError(f"sample {index} has {length} tokens, more than the {capacity} of a sequence")
        row = next((row for row, left in enumerate(room) if left >= length), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(capacity)
        rows[row].append(index)
        room[row] -= length
    return [tuple(row) for row in rows]
