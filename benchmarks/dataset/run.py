"""The dataset build's figures in one command: quota kept, speed and memory of the reader, assembly.

`python benchmarks/dataset/run.py` prints the tables of the README; `--only quota|reader|assembly` prints one.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import quota
import stages

SHARDS = (1, 2, 4, 8, 16)
SIZES = (10_000, 50_000, 100_000, 200_000)
SAMPLES, SCENES = 4_000, 5


def table(head: Sequence[str]) -> None:
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)


def row(*cells: object) -> None:
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("quota", "reader", "assembly"))
    only = parser.parse_args().only
    print(f"{os.cpu_count()} cores, load average before {os.getloadavg()[0]:.1f}")
    if only in (None, "quota"):
        table(("trial", "who", "quota sustained", "calls throttled", "in all, with the warm-up", "items given up"))
        for trial in quota.TRIALS:
            for shards in SHARDS:
                got = quota.ours(trial, shards)
                cells = percent(got["sustained"]), percent(got["throttled"]), percent(got["throttled_in_all"])
                row(trial.name, f"{shards} shards", *cells, "0.0 %")
            got = quota.reference(trial, trial.threads)
            cells = percent(got["sustained"]), percent(got["throttled"]), percent(got["throttled_in_all"])
            row(trial.name, f"reference way, {trial.threads} threads", *cells, percent(got["given_up"]))
    if only in (None, "reader"):
        table(("turns", "MiB", "seconds", "records/s", "peak MiB"))
        for one in stages.reader(SIZES):
            cells = f"{one['mib']:.1f}", f"{one['seconds']:.2f}", f"{one['rate']:,.0f}", f"{one['peak_mib']:.0f}"
            row(f"{one['turns']:,.0f}", *cells)
    if only in (None, "assembly"):
        table(("samples", "parts", "seconds", "samples/s", "peak MiB"))
        one = stages.assembly(SAMPLES, SCENES)
        rate = one["samples"] / one["seconds"]
        row(
            f"{one['samples']:.0f}",
            f"{one['parts']:.0f}",
            f"{one['seconds']:.1f}",
            f"{rate:.0f}",
            f"{one['peak_mib']:.0f}",
        )


if __name__ == "__main__":
    main()
