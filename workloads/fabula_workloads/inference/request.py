"""What is asked and what comes back, and what a model must offer to be asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from fabula_workloads.samples.sample_set import EvaluationSample


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to generate."""

    sample: str
    seed: int
    pictures: tuple[Path, ...]
    prompt: str
    given: EvaluationSample | None = None
    """The sample as its recipe found it, where the model takes more of it than pictures."""
    folder: Path | None = None
    """The sample set, in which the files of `given` lie."""

    @property
    def key(self) -> str:
        """Id of the answer in the ledger."""
        return f"{self.sample}-{self.seed}"

    @property
    def sampling_seed(self) -> int:
        """Seed of this answer's own random numbers: it depends on nothing else in the batch or the shard."""
        return int.from_bytes(hashlib.sha256(f"{self.seed}/{self.sample}".encode()).digest()[:8], "big") >> 1


def request(sample: EvaluationSample, seed: int, folder: Path, prompt: str) -> Request:
    """What is asked about a sample of the set in `folder`."""
    return Request(sample.id, seed, tuple(folder / path for path in sample.images), prompt, sample, folder)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said. Empty or unreadable text is an answer; whether it is a good one is for the metrics to say."""

    text: str
    tokens: int
    """Generated, without the end token."""
    seconds: float
    """The batch's wall time, divided by its size."""
    finish: Literal["stop", "length"]
    """`stop` at the end token, `length` at maxNewTokens."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that cannot be generated, however often it is tried."""

    reason: str
    """One CamelCase word."""


Work = Callable[[int], Sequence[Request]]
"""Takes up to so many requests from those that are left; none when there is nothing to do at the moment."""
Interrupted = Callable[[], bool]
"""Whether the stage was told to stop."""


Answers = Generator[tuple[Request, Answer | Failure], None, None]
"""Outcomes as they are known."""


class Engine(Protocol):
    """What answers: a loaded model, or a server that has one. The same contract for all; a recipe may bring its own."""

    def answers(self, work: Work, interrupted: Interrupted) -> Answers:
        """Take requests while there is room, and hand out each outcome as it is known, in any order.

        What is wrong with one request is its Failure, and costs the others nothing. Once interrupted, no request is
        taken and nothing that was cut short is handed out. Ends when `work` gives none and all that was taken is out.
        Who leaves earlier closes it, and what is in flight is dropped.
        """
        ...


class Speaker(Protocol):
    """An engine that can be listened to while it answers."""

    def tell(self, request: Request, say: Callable[[str], None]) -> Answer | Failure:
        """The answer to one request, of which `say` is given the text in pieces as they come."""
        ...
