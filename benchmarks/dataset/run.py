"""The dataset build's figures in one command: quota kept, speed and memory of the reader, assembly.

`python benchmarks/dataset/run.py` prints the tables of the README; `--only quota|reader|assembly` prints one.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

# What is measured is imported where it is: a process of its own imports this file too, and its memory counts.

SIZES = (10_000, 50_000, 100_000, 200_000)
EPISODES = 1_000_000
SAMPLES, SCENES = 4_000, 5


def table(head: Sequence[str]) -> None:
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)


def row(*cells: object) -> None:
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def quotas() -> None:
    import quota

    table(
        ("trial", "who", "right after: quota used", "throttled", "then: quota used", "throttled", "calls", "given up",
         "cores")
    )  # fmt: skip
    for trial in quota.TRIALS:
        for result in [*quota.ours(trial), quota.reference(trial)]:
            first = (percent(result.first[0]), percent(result.first[1])) if result.first else ("", "")
            used, throttled, calls = result.steady
            calls += result.first[2] if result.first else 0
            row(
                trial.name, result.who, *first, percent(used), percent(throttled), calls, percent(result.given_up),
                f"{result.cores:.2f}",
            )  # fmt: skip


def readers(episodes: int) -> None:
    import reader

    table(("records", "MiB", "seconds", "records/s", "peak MiB"))
    for reading in reader.by_size(SIZES):
        row(*_reading(reading))
    table(("layout", "episodes", "records", "MiB", "seconds", "records/s", "peak MiB"))
    for layout, reading in reader.by_layout(episodes):
        row(layout, f"{reading['episodes']:,.0f}", *_reading(reading))


def _reading(reading: dict[str, float]) -> tuple[str, ...]:
    return (
        f"{reading['records']:,.0f}", f"{reading['mib']:.1f}", f"{reading['seconds']:.1f}", f"{reading['rate']:,.0f}",
        f"{reading['peak_mib']:.0f}",
    )  # fmt: skip


def assemblies() -> None:
    import assembly

    table(("samples", "parts", "seconds", "samples/s", "peak MiB"))
    figures = assembly.assembly(SAMPLES, SCENES)
    rate = figures["samples"] / figures["seconds"]
    row(
        f"{figures['samples']:.0f}", f"{figures['parts']:.0f}", f"{figures['seconds']:.1f}", f"{rate:.0f}",
        f"{figures['peak_mib']:.0f}",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("quota", "reader", "assembly"))
    parser.add_argument("--episodes", type=int, default=EPISODES, help="small episodes in each layout of the reader")
    asked = parser.parse_args()
    began = time.monotonic()
    print(f"{os.cpu_count()} cores, load average before {os.getloadavg()[0]:.1f}")
    if asked.only in (None, "quota"):
        quotas()
    if asked.only in (None, "reader"):
        readers(asked.episodes)
    if asked.only in (None, "assembly"):
        assemblies()
    print(f"\n{time.monotonic() - began:.0f} s in all, load average after {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
