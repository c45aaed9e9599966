"""What the quota benchmark emulates: accounts, the calls that meet them, and the clock that all processes share."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.sporc_files import WORDS

MODEL = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
MAX_TOKENS = 8192
OUTPUT_WEIGHT = 5
"""Tokens of quota that a received token takes in the end, as for Claude from 3.7 on."""
SLOWEST_START, SECONDS_PER_TOKEN = 4.0, 0.004
"""A reply takes up to 4 s, and 4 ms for each token."""
BUILDS = {"one": 4, "two": 4, "three": 8}
"""Builds of one quota group, and their workers."""
ORDER = [
    (build, index)
    for turn in range(4)
    for build, index in (("one", turn), ("two", turn), ("three", 2 * turn), ("three", 2 * turn + 1))
]
"""In which order shards start."""
STEPS = (1, 4, 16, 4)
"""Shards at work, one step after the other."""
WARM_UP = 60.0
"""The first shard of all finds a full bucket, whose use is not sustained."""
CONCURRENCY = 32
"""Calls that a shard may have in flight."""


@dataclass(frozen=True)
class Trial:
    """An account's quota, and how many times as fast as the wall its clock runs."""

    name: str
    requests: int
    tokens: int
    speed: float
    after_change: float = 60.0
    """Seconds of the provider's clock that are looked at right after a step ..."""
    steady: float = 120.0
    """... and those after them."""
    reference_speed: float = 2.0
    """Slower for the reference way, whose many refused calls would else need more than two cores."""


TRIALS = (
    Trial("requests bind", requests=240, tokens=8_000_000, speed=5),
    Trial("tokens bind", requests=1_000, tokens=2_400_000, speed=5),
    Trial("small account", requests=50, tokens=400_000, speed=10, after_change=120, steady=240),
)


@dataclass(frozen=True)
class Seen:
    """One request at the provider."""

    at: float
    let_in: bool
    tokens: float
    """Tokens of quota that it took in the end."""


class Prompts:
    """Transcripts of 3,000 to 12,000 tokens, each asked for 1 to 6 excerpts."""

    def __init__(self, seed: str) -> None:
        self._dice = random.Random(seed)
        self._number = 0
        self._texts = [self._transcript() for _ in range(12)]

    def draw(self) -> str:
        """A prompt that nobody else draws."""
        self._number += 1
        asked = f'<limits words_min="120" words_max="240" excerpts_max="{self._dice.randint(1, 6)}" scenes="5"/>'
        text = self._dice.choice(self._texts)
        return f"{self._dice.random()}/{self._number}\n{asked}\n<transcript>\n{text}\n</transcript>"

    def _transcript(self) -> str:
        characters, turns = 4 * self._dice.randint(3_000, 12_000), []
        while characters > 0:
            said = " ".join(self._dice.choices(WORDS, k=self._dice.randint(5, 55)))
            turns.append(f"Speaker {1 + len(turns) % 2}: {said}.")
            characters -= len(turns[-1]) + 2
        return "\n\n".join(turns)


def figures(seen: list[Seen], trial: Trial, start: float, seconds: float) -> tuple[float, float, int]:
    """(share of the binding quota that was used, share of the calls turned away, calls) of a stretch of time."""
    there = [call for call in seen if start <= call.at < start + seconds]
    let_in = [call for call in there if call.let_in]
    requests = len(let_in) * 60 / seconds / trial.requests
    tokens = sum(call.tokens for call in let_in) * 60 / seconds / trial.tokens
    return max(requests, tokens), 1 - len(let_in) / max(1, len(there)), len(there)
