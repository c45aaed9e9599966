"""A shard's share of the account's quota: requests and tokens a minute, reserved as the provider reserves them.

Bedrock takes input + maxTokens from the quota when a request starts and settles when it ends. A caller that does the
same beforehand is hardly ever throttled.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from fabula_workloads.bedrock.clock import Clock

_HEADROOM = 0.99
"""Used part of the share: the rest absorbs clocks that differ and inputs that are longer than estimated."""
_BURST_SECONDS = 10
_SLOWED, _SLOWEST, _RECOVERY_PER_SECOND = 0.7, 0.1, 0.01
_LOOK_SECONDS, _LEAST_SECONDS = 0.25, 0.001


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests and tokens a minute; None is no bound."""

    requests: float | None = None
    tokens: float | None = None


class TokenBucket:
    """Fills all the time. Holds ten seconds' worth, or as much as the largest call so far needs.

    It starts with a part of its first call. With a random part, shards that start together take their turns spread over
    the time that one call's tokens need to flow in: at once what is theirs on average, and neither a burst, as with
    full buckets, nor a pause, as with empty ones.
    """

    def __init__(self, clock: Clock, first: float = 0.0) -> None:
        """`first`: the part of the first call that is there at the start, from 0 to 1."""
        self._clock = clock
        self._first: float | None = first
        self._level = 0.0
        self._at = clock.now()
        self._largest = 1.0
        self._per_second: float | None = None

    def set_rate(self, per_minute: float | None) -> None:
        """What flows in from now on; what is there stays."""
        self._fill()
        self._per_second = None if per_minute is None else max(per_minute, 1e-6) / 60

    def seconds_until(self, amount: float) -> float:
        """How long until `amount` can be taken; 0 when it can be now."""
        self._largest = max(self._largest, amount)
        self._fill()
        if self._first is not None and self._per_second is not None:
            self._level, self._first = self._level + self._first * amount, None
        return 0.0 if self._per_second is None else max(0.0, (amount - self._level) / self._per_second)

    def take(self, amount: float) -> None:
        """Take what `seconds_until` said is there."""
        self._level -= amount

    def give(self, amount: float) -> None:
        """Give back; a negative amount takes more, even into debt."""
        self._level += amount

    def _fill(self) -> None:
        now = self._clock.now()
        if self._per_second is None:
            self._level = 0.0
        else:
            room = max(self._per_second * _BURST_SECONDS, self._largest)
            self._level = min(room, self._level + (now - self._at) * self._per_second)
        self._at = now


class QuotaGate:
    """Where each call waits until the shard's share has room for it. Safe for many threads; one waits at a time."""

    def __init__(
        self,
        rates: Callable[[], Rates],
        clock: Clock,
        heartbeat: Callable[[], None] = lambda: None,
        first: float | None = None,
    ) -> None:
        """`rates` is asked again and again, since shares change; `heartbeat` is called now and then while waiting.

        `first` is the part of the first call that is there at the start, from 0 to 1; default: a random one.
        """
        self._rates = rates
        self._clock = clock
        self._heartbeat = heartbeat
        self._turn, self._lock = threading.Lock(), threading.Lock()
        first = random.random() if first is None else first  # noqa: S311 - spreads shards, hides nothing
        self._requests, self._tokens = TokenBucket(clock, first), TokenBucket(clock, first)
        self._pace, self._slowed_at = 1.0, clock.now()

    def enter(self, tokens: float, stopping: threading.Event) -> bool:
        """Wait for one request of `tokens` and take them. False when told to stop meanwhile."""
        with self._turn:
            while not stopping.is_set():
                with self._lock:
                    self._follow()
                    seconds = max(self._requests.seconds_until(1), self._tokens.seconds_until(tokens))
                    if seconds <= 0:
                        self._requests.take(1)
                        self._tokens.take(tokens)
                        return True
                self._heartbeat()
                if self._clock.wait(stopping, min(max(seconds, _LEAST_SECONDS), _LOOK_SECONDS)):
                    break
        return False

    def settle(self, reserved: float, used: float) -> None:
        """The call ended and took `used` tokens in the provider's count."""
        with self._lock:
            self._tokens.give(reserved - used)

    def throttled(self) -> None:
        """The provider turned a call away: somebody else uses the account too. Go slower for a while."""
        with self._lock:
            now = self._clock.now()
            pace = self._current_pace(now)
            if now - self._slowed_at >= 1 or pace == 1.0:
                self._pace, self._slowed_at = max(_SLOWEST, pace * _SLOWED), now

    def _follow(self) -> None:
        rates, pace = self._rates(), self._current_pace(self._clock.now()) * _HEADROOM
        self._requests.set_rate(None if rates.requests is None else rates.requests * pace)
        self._tokens.set_rate(None if rates.tokens is None else rates.tokens * pace)

    def _current_pace(self, now: float) -> float:
        return min(1.0, self._pace + (now - self._slowed_at) * _RECOVERY_PER_SECOND)
