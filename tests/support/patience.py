"""How long tests wait for what must come: far beyond any machine's slowness, so that only a fault ends a wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

SECONDS = 900.0
"""For each wait of every test, and for every command that a test runs. pytest's own `timeout` is longer."""
_SHORTEST, _LONGEST, _GROWTH = 0.05, 0.25, 0.01
"""Seconds between two looks. A look costs who looks and who is looked at, so a long wait has longer pauses: it ends a
hundredth of itself later."""
Found = TypeVar("Found")


def until(
    holds: Callable[[], Found | None], what: str | Callable[[], str], pause_seconds: float | None = None
) -> Found:
    """The first true value of `holds`. AssertionError, which names what was awaited, when there is none.

    `pause_seconds` is for what may be over in a moment, or costs much to look at.
    """
    began = time.monotonic()
    while not (awaited := holds()):
        pause = _pause(began, what)
        time.sleep(pause if pause_seconds is None else pause_seconds)
    return awaited


async def eventually(look: Callable[[], Awaitable[Found | None]], what: str | Callable[[], str]) -> Found:
    """The first true value that `look` returns. AssertionError, which names what was awaited, when there is none."""
    began = time.monotonic()
    while not (awaited := await look()):
        await asyncio.sleep(_pause(began, what))
    return awaited


def _pause(began: float, what: str | Callable[[], str]) -> float:
    """Seconds until the next look; AssertionError when it is time to give up."""
    waited = time.monotonic() - began
    assert waited < SECONDS, _in_vain(what)
    return min(_SHORTEST + _GROWTH * waited, _LONGEST)


def _in_vain(what: str | Callable[[], str]) -> str:
    return f"waited {SECONDS:.0f} s in vain for: {what if isinstance(what, str) else what()}"
