"""Kills drawn from a seed, spread over a build by the provider's bill: how far it is and not how fast the machine."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from tests.support.build_bench import BuildBench
from tests.support.patience import until

Victim = Literal["worker", "operator", "cluster", "suspend"]
_LOOKS_PER_QUESTION = 200


@dataclass(frozen=True, order=True)
class Strike:
    """One kill: when the bill has `mark` requests, `wait` seconds later; what is restarted comes back after `pause`."""

    mark: int
    wait: float
    victim: Victim
    pause: float
    draw: float
    """From 0 to 1; picks one of the living workers."""


def drawn(seed: int, victims: Sequence[Victim], num_requests: int) -> list[Strike]:
    """Strikes in order. Some fall before the first request and after the last, into the stages that pay for nothing."""
    dice = random.Random(seed)
    marks = (int((dice.random() * 1.15 - 0.05) * num_requests) for _ in victims)
    return sorted(
        Strike(max(0, mark), dice.uniform(0, 0.6), victim, dice.uniform(0, 1.5), dice.random())
        for mark, victim in zip(marks, victims, strict=True)
    )


@dataclass
class Storm:
    """Strikes at a build until it has ended."""

    bench: BuildBench
    name: str
    strikes: list[Strike]
    number: signal.Signals = signal.SIGKILL
    """Signal for workers."""
    struck: list[tuple[float, str]] = field(default_factory=list)
    """(time on the provider's clock, what) of each strike that met something."""

    def rage(self) -> dict[str, object]:
        """Strike, start again what was struck, and wait for the end of the build; its status."""
        for strike in self.strikes:
            self._wait(lambda mark=strike.mark: len(self.bench.bedrock.bill.charges) >= mark)  # type: ignore[misc]
            time.sleep(strike.wait)
            self._strike(strike)
        return self.bench.ended(self.name)

    def _wait(self, holds: Callable[[], object], pause_seconds: float = 0.01) -> None:
        """Until it holds, or nothing is left to strike at."""
        looks = count(1)
        until(
            lambda: holds() or (next(looks) % _LOOKS_PER_QUESTION == 0 and self.bench.over(self.name)),
            "the moment of a strike", pause_seconds,
        )  # fmt: skip

    def _strike(self, strike: Strike) -> None:
        clock = self.bench.bedrock.clock
        match strike.victim:
            case "worker":
                self._wait(lambda: self.bench.workers(), 0.05)  # each look reads all processes of this machine
                if alive := sorted(self.bench.workers()):
                    with suppress(ProcessLookupError):
                        pid = alive[int(strike.draw * len(alive))]
                        os.kill(pid, self.number)
                        self.struck.append((clock.now(), f"worker {pid}"))
            case "operator":
                self.bench.operator.kill()
                self.struck.append((clock.now(), "operator"))
                time.sleep(strike.pause)
                self.bench.operator.__enter__()
            case "cluster":
                self.bench.cluster.kill()
                self.struck.append((clock.now(), "cluster"))
                time.sleep(strike.pause)
                self.bench.cluster.start()
            case "suspend":
                if self.bench.over(self.name) is None:
                    self.bench.patch(self.name, {"suspend": True})
                    self.struck.append((clock.now(), "suspend"))
                    self.bench.until(self.name, lambda status: status.get("state") == "Suspended", "suspended")
                    time.sleep(strike.pause)
                    self.bench.patch(self.name, {"suspend": False})
