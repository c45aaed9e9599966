"""How much of a quota shards sustain, and how many of their calls are turned away; the reference way beside it.

The provider's side is the stand-in's own buckets, without HTTP: what is measured is who starts a call when. Time runs
faster than the wall by the same factor for both sides.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.bedrock import Bedrock
from tests.support.bedrock_clock import ScaledClock

from fabula_workloads.bedrock.breaker import Breaker
from fabula_workloads.bedrock.budget import Budget
from fabula_workloads.bedrock.calls import Answer, Call, Caller
from fabula_workloads.bedrock.errors import Transient
from fabula_workloads.bedrock.quota import QuotaGate, Rates
from fabula_workloads.runtime.failures import TryAgain
from fabula_workloads.runtime.ledger import Ledger

MAX_TOKENS = 8192
WEIGHT = 5
"""Tokens of quota that a received token takes in the end, as for Claude from 3.7 on."""


@dataclass(frozen=True)
class Trial:
    """A quota, the calls that meet it, and for how long."""

    name: str
    requests: float
    tokens: float
    threads: int = 64
    """Calls in flight at most, over all shards."""
    speed: float = 40
    warm_up: float = 120
    measured: float = 300
    """Seconds of the provider's clock."""


TRIALS = (
    Trial("requests bind", requests=240, tokens=8_000_000),
    Trial("tokens bind", requests=1_000, tokens=2_400_000),
    Trial("small account", requests=50, tokens=400_000),
)


@dataclass
class Shape:
    """One call: what it sends, what comes back, how long that takes."""

    tokens_in: int
    tokens_out: int
    seconds: float

    @classmethod
    def drawn(cls, dice: random.Random) -> Shape:
        """A transcript's chunk, and a reply of a few excerpts."""
        out = dice.randint(300, 2_200)
        return cls(dice.randint(3_000, 12_000), out, 2 + out / 250 * dice.uniform(0.8, 1.3))


@dataclass
class Provider:
    """The stand-in's quota, with its own record of what went through and what was turned away."""

    trial: Trial
    clock: ScaledClock
    bedrock: Bedrock = field(init=False)
    seen: list[tuple[float, bool, float]] = field(default_factory=list)
    """(second, let in, tokens of quota that it took in the end)"""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.bedrock = Bedrock(
            requests_per_minute=self.trial.requests, tokens_per_minute=self.trial.tokens, output_weight=WEIGHT,
            clock=self.clock,
        )  # fmt: skip

    def call(self, shape: Shape) -> bool:
        """Whether the call was let in; it takes its time then."""
        reserved = shape.tokens_in + MAX_TOKENS
        at = self.clock.now()
        if self.bedrock.admit(f"{id(shape)}", reserved) is not None:
            self._note(at, False, 0)
            return False
        self.clock.sleep(shape.seconds)
        self.bedrock.settle(reserved, shape.tokens_in, shape.tokens_out)
        self._note(at, True, shape.tokens_in + WEIGHT * shape.tokens_out)
        return True

    def _note(self, at: float, let_in: bool, tokens: float) -> None:
        with self._lock:
            self.seen.append((at, let_in, tokens))

    def figures(self) -> dict[str, float]:
        """Shares after the warm-up: of each quota that was used, and of the calls that were turned away."""
        trial = self.trial
        seen = [one for one in self.seen if trial.warm_up <= one[0] < trial.warm_up + trial.measured]
        let_in = [one for one in seen if one[1]]
        minutes = trial.measured / 60
        requests = len(let_in) / minutes / trial.requests
        tokens = sum(one[2] for one in let_in) / minutes / trial.tokens
        throttled = sum(not one[1] for one in self.seen) / max(1, len(self.seen))
        return {
            "of_requests": requests, "of_tokens": tokens, "sustained": max(requests, tokens),
            "throttled": 1 - len(let_in) / max(1, len(seen)), "throttled_in_all": throttled, "calls": len(seen),
        }  # fmt: skip


class MemoryLedger(Ledger):
    """A ledger that keeps nothing: the disk is not what is measured."""

    def __init__(self) -> None:
        """Empty."""

    def get(self, item_id: str) -> dict[str, Any] | None:
        return None

    def put(self, item_id: str, outcome: dict[str, Any]) -> None:
        return None


def ours(trial: Trial, shards: int) -> dict[str, float]:
    """Figures of `shards` shards that share the quota evenly, each with a caller of its own."""
    clock, over = ScaledClock(trial.speed), threading.Event()
    provider = Provider(trial, clock)
    rates = Rates(trial.requests / shards, trial.tokens / shards)

    def caller_of() -> Caller:
        return Caller(
            ledger=MemoryLedger(),
            quota=QuotaGate(lambda: rates, clock),
            budget=Budget(lambda: None, lambda: False),
            breaker=Breaker(clock, lambda reason, message: None),
            clock=clock,
            stopping=over,
        )

    callers = [caller_of() for _ in range(shards)]

    def work(thread: int) -> None:
        caller, dice, number = callers[thread % shards], random.Random(thread), 0
        while not over.is_set():
            shape, number = Shape.drawn(dice), number + 1
            # An estimate from characters is a little too high.
            call = Call(f"e{thread}-{number}", {}, tokens=shape.tokens_in * 1.1 + MAX_TOKENS, usd=0)

            def send(shape: Shape = shape) -> Answer:
                if not provider.call(shape):
                    raise Transient("ProviderThrottled", "turned away", retry_after=1)
                taken = shape.tokens_in + WEIGHT * shape.tokens_out
                return Answer({}, "", shape.tokens_in, shape.tokens_out, taken)

            try:
                caller.make(call, send)
            except TryAgain:
                return

    _run(trial, clock, over, work)
    return provider.figures()


def reference(trial: Trial, workers: int) -> dict[str, float]:
    """Figures of the published way: a thread pool, no limiter, sleeps of 1, 2 and 4 s after a 429, then given up."""
    clock, over = ScaledClock(trial.speed), threading.Event()
    provider = Provider(trial, clock)
    lock, lost, items = threading.Lock(), [0], [0]

    def work(thread: int) -> None:
        dice = random.Random(thread)
        while not over.is_set():
            shape, done = Shape.drawn(dice), False
            for attempt in range(3):
                if done := provider.call(shape):
                    break
                if clock.wait(over, 2**attempt):
                    return
            with lock:
                items[0] += 1
                lost[0] += not done

    _run(trial, clock, over, work, workers)
    return provider.figures() | {"given_up": lost[0] / max(1, items[0])}


def _run(
    trial: Trial, clock: ScaledClock, over: threading.Event, work: Callable[[int], None], workers: int | None = None
) -> None:
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(workers or trial.threads)]
    for thread in threads:
        thread.start()
    clock.sleep(trial.warm_up + trial.measured + 1)
    over.set()
    for thread in threads:
        thread.join(30)
