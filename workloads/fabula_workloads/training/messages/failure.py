"""Failures of ranks: what each leaves behind when it dies, and which of them was the first cause.

When one rank dies, the others fail too, on a connection that was closed; the digest must name the one that began it.
"""

from __future__ import annotations

import json
import re
import signal
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from fabula_api.worker import PEER_LOST
from fabula_workloads.runtime.failures import CRASH, WorkerError
from fabula_workloads.runtime.termination import describe

_CONNECTION_WORDS = ("connection closed by peer", "connection reset", "broken pipe", "nccl", "gloo", "timed out")
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory")
_NCCL_ENDED = re.compile(r"watchdog thread terminated with exception: (?:\[[^\]]*\] )*([^\n]+)")
"""What torch's watchdog over NCCL says last, from a thread of its own, before it aborts the process."""
_OWN_DEVICE_WORDS = ("cuda error", "unhandled cuda")
"""In it: the rank's own GPU failed, where it else lost another rank or waited for one in vain."""


@dataclass(frozen=True, slots=True)
class RankFailure:
    """How a rank ended. Written by the rank itself, or made from the exit code of one that could not."""

    rank: int
    reason: str
    message: str
    exit_code: int
    exception: str | None = None
    at: float = 0.0
    """Seconds since the epoch; 0 when unknown."""
    consequence: bool = False
    """Probably of another rank's end."""

    def write(self, path: Path) -> None:
        """Leave it where the launcher looks."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> RankFailure | None:
        """What a rank left; None when it left nothing, or was killed while it wrote."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None


def from_exception(rank: int, error: BaseException) -> RankFailure:
    """The failure that an exception in a rank means."""
    text = str(error).lower()
    if isinstance(error, WorkerError):
        reason, message, code = error.reason, _innermost(error.message), int(error.exit_code)
    elif isinstance(error, MemoryError) or any(words in text for words in _MEMORY_WORDS):
        # Before connections are thought of: NCCL allocates for itself, and then its name is in the text too.
        reason, message, code = "OutOfMemory", _out_of_memory(rank, describe(error)), CRASH
    elif any(words in text for words in _CONNECTION_WORDS):
        reason, message, code = PEER_LOST, f"rank {rank} lost another rank: {describe(error)}", CRASH
    else:
        reason, message, code = type(error).__name__, f"rank {rank}: {describe(error)}", CRASH
    return RankFailure(rank, reason, message, code, type(error).__name__, time.time(), consequence=reason == PEER_LOST)


def from_exit_code(rank: int, code: int, at: float = 0.0, said: str = "") -> RankFailure:
    """The failure of a rank that left no word: killed by a signal, or gone with an exit code. `said` ends its log."""
    if code == -signal.SIGABRT and (match := _NCCL_ENDED.search(said)):
        return _ended_by_nccl(rank, match[1], said[match.start() :].lower(), at)
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; often the kernel's out-of-memory killer, or the node going away" if -code == signal.SIGKILL else ""
        message = f"rank {rank} was killed by {name}{hint}"
        return RankFailure(rank, "RankKilled", message, CRASH, None, at, consequence=-code == signal.SIGTERM)
    return RankFailure(rank, "Crashed", f"rank {rank} ended with exit code {code} and left no word", CRASH, None, at)


def _ended_by_nccl(rank: int, why: str, said: str, at: float) -> RankFailure:
    """The failure of a rank that the watchdog over NCCL aborted: of its own device, or since another rank was gone."""
    if any(words in said for words in _MEMORY_WORDS):
        return RankFailure(rank, "OutOfMemory", _out_of_memory(rank, why), CRASH, None, at)
    if any(words in said for words in _OWN_DEVICE_WORDS):
        return RankFailure(rank, "RankKilled", f"rank {rank} was killed by SIGABRT: {why}", CRASH, None, at)
    return RankFailure(rank, PEER_LOST, f"rank {rank} was ended by NCCL: {why}", CRASH, None, at, consequence=True)


def _out_of_memory(rank: int, what: str) -> str:
    return (
        f"rank {rank} ran out of memory: {what}. Lower training.maxLength, training.perDeviceBatchSize or "
        "pixels.maxPixels, turn on training.gradientCheckpointing, or choose deepspeed.offload."
    )


def first_cause(failures: list[RankFailure]) -> RankFailure:
    """The failure that began it: not one that follows from another's end, then a kill, then the earliest."""
    return min(failures, key=lambda failure: (failure.consequence, failure.reason != "RankKilled", failure.at))


def _innermost(message: str) -> str:
    """A DataLoader worker's error arrives with its traceback as message; its last line is what was raised."""
    if not message.startswith("Caught "):
        return message
    return message.strip().splitlines()[-1].partition(": ")[2]


def print_traceback(error: BaseException) -> None:
    """Traceback to stderr, which is the rank's log."""
    traceback.print_exception(error)
