"""What a piece of code costs beside another that does as much for its size: the same on every machine."""

from __future__ import annotations

import time
from collections.abc import Callable

_ROUNDS = 200


def cost_beside(act: Callable[[], object], reference: Callable[[], object]) -> float:
    """How many times as long `act` takes as `reference`, each at its best of many rounds in turn."""
    best = [float("inf"), float("inf")]
    for _ in range(_ROUNDS):
        for number, measured in enumerate((act, reference)):
            begin = time.perf_counter()
            measured()
            best[number] = min(best[number], time.perf_counter() - begin)
    return best[0] / best[1]
