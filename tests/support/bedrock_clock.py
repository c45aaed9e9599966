"""Clocks for emulated quotas: a minute of theirs need not be a minute of ours."""

from __future__ import annotations

import threading
import time


class ScaledClock:
    """Runs `speed` times as fast as the wall: with 600, a quota's minute lasts a tenth of a second.

    Client and stand-in must share it. It fits the worker's `Clock` protocol as well.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._start = time.monotonic()

    def now(self) -> float:
        """Seconds of this clock since it was made."""
        return (time.monotonic() - self._start) * self._speed

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set (True) or that many of this clock's seconds have passed (False)."""
        return event.wait(max(0.0, seconds) / self._speed)

    def sleep(self, seconds: float) -> None:
        """Let that many of this clock's seconds pass."""
        time.sleep(max(0.0, seconds) / self._speed)


class ManualClock:
    """Moves only when somebody waits on it, and then at once: for tests of one thread."""

    def __init__(self) -> None:
        self._now = 0.0
        self._lock = threading.Lock()
        self.waited: list[float] = []

    def now(self) -> float:
        return self._now

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if event.is_set():
            return True
        self.sleep(seconds)
        return event.is_set()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += max(0.0, seconds)
            self.waited.append(seconds)
