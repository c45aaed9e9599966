"""A measurement in a process of its own, so that its peak memory is its own and not the benchmark's."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def in_process(work: Callable[..., dict[str, float]], *given: Any) -> dict[str, float]:
    """What `work` returns, run in a fresh process, with the most memory that process had (`peak_mib`)."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, *given))


def _measured(work: Callable[..., dict[str, float]], *given: Any) -> dict[str, float]:
    return work(*given) | {"peak_mib": peak_mib()}


def peak_mib() -> float:
    """The most resident memory that this process had since it began (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
