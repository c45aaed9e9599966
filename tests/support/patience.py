"""How long tests wait for what must come: far beyond any machine's slowness, so that only a fault ends a wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

SECONDS = 900.0
"""For each wait of every test, and for every command that a test runs. pytest's own `timeout` is longer."""
Found = TypeVar("Found")


def until(holds: Callable[[], Found | None], what: str | Callable[[], str], pause_seconds: float = 0.05) -> Found:
    """The first true value of `holds`. AssertionError, which names what was awaited, when there is none."""
    deadline = time.monotonic() + SECONDS
    while not (found := holds()):
        assert time.monotonic() < deadline, _in_vain(what)
        time.sleep(pause_seconds)
    return found


async def eventually(look: Callable[[], Awaitable[Found | None]], what: str | Callable[[], str]) -> Found:
    """The first true value that `look` returns. AssertionError, which names what was awaited, when there is none."""
    deadline = time.monotonic() + SECONDS
    while not (found := await look()):
        assert time.monotonic() < deadline, _in_vain(what)
        await asyncio.sleep(0.05)
    return found


def _in_vain(what: str | Callable[[], str]) -> str:
    return f"waited {SECONDS:.0f} s in vain for: {what if isinstance(what, str) else what()}"
