"""How much of a quota the shards of several builds sustain while they come and go; the reference way beside it.

Provider, operator and shards are processes of their own that talk over loopback HTTP. Time runs faster than the wall by
the same factor for all of them.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import quota_processes as processes
from quota_trial import ORDER, STEPS, TRIALS, WARM_UP, Seen, Trial, figures
from tests.support.bedrock_clock import ScaledClock

__all__ = ["TRIALS", "Row", "ours", "reference"]

REFERENCE_THREADS = 64
REFERENCE_WARM_UP, REFERENCE_MEASURED = 70.0, 80.0
_fork = multiprocessing.get_context("fork")  # the imports are made once, so that 16 shards start without a storm


@dataclass(frozen=True)
class Row:
    """What one step showed."""

    who: str
    first: tuple[float, float, int] | None
    """Right after the change: (quota used, share turned away, calls)."""
    steady: tuple[float, float, int]
    given_up: float = 0.0
    """Share of the items that were lost."""
    cores: float = 0.0
    """Processor time of all the processes over the wall's."""


@contextmanager
def process(work: Callable[..., None], *given: Any) -> Iterator[Connection]:
    """A process at work, and the pipe to it."""
    here, there = _fork.Pipe()
    made = _fork.Process(target=work, args=(*given, there), daemon=True)
    made.start()
    there.close()
    try:
        yield here
    finally:
        made.join(30)
        if made.is_alive():
            made.terminate()
            raise RuntimeError(f"{work.__name__} did not end")


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ours(trial: Trial) -> list[Row]:
    """A row for each step."""
    began, used = time.monotonic(), _processor_seconds()
    clock = ScaledClock(trial.speed)
    changes: list[float] = []
    with process(processes.operator, trial, clock) as operator, process(processes.provider, trial, clock) as provider:
        port, (endpoint, environment) = operator.recv(), provider.recv()
        made = [process(processes.shard, trial, clock, where, endpoint, environment, port) for where in ORDER]
        shards = [context.__enter__() for context in made]
        for shard in shards:
            assert shard.recv() == "ready"
        at_work = 0
        for wanted in STEPS:
            for shard in shards[at_work:wanted] if wanted > at_work else shards[wanted:at_work]:
                shard.send("on")
            at_work = wanted
            clock.sleep(0 if changes else WARM_UP)
            changes.append(clock.now())
            clock.sleep(trial.after_change + trial.steady)
        for shard in shards[:at_work]:
            shard.send("on")
        for shard, context in zip(shards, made, strict=True):
            assert shard.recv() == "done"
            context.__exit__(None, None, None)
        provider.send("end")
        seen: list[Seen] = provider.recv()
        operator.send("end")
    cores = (_processor_seconds() - used) / (time.monotonic() - began)
    return [
        Row(
            f"{before} to {shards} shards" if before else f"{shards} shard",
            figures(seen, trial, start, trial.after_change),
            figures(seen, trial, start + trial.after_change, trial.steady),
            cores=cores,
        )
        for before, shards, start in zip((0, *STEPS), STEPS, changes, strict=False)
    ]


def reference(trial: Trial) -> Row:
    """The published way, which knows no steps."""
    began, used = time.monotonic(), _processor_seconds()
    clock = ScaledClock(trial.reference_speed)
    with process(processes.provider, trial, clock) as provider:
        endpoint, environment = provider.recv()
        with process(
            processes.reference, trial, clock, REFERENCE_THREADS, endpoint, environment
        ) as workers:  # fmt: skip
            assert workers.recv() == "ready"
            workers.send("go")
            start = clock.now() + REFERENCE_WARM_UP
            clock.sleep(REFERENCE_WARM_UP + REFERENCE_MEASURED)
            workers.send("stop")
            lost, items = workers.recv()
        provider.send("end")
        seen = provider.recv()
    cores = (_processor_seconds() - used) / (time.monotonic() - began)
    steady = figures(seen, trial, start, REFERENCE_MEASURED)
    return Row(f"reference way, {REFERENCE_THREADS} threads", None, steady, lost / max(1, items), cores)
