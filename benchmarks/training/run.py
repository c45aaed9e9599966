"""Training throughput of one process: packed against unpacked, ours against the reference's settings.

`python benchmarks/training/run.py` measures on the CPU with a small model; `--device cuda --shape 8B` on a GPU. All
variants train on the same samples, and their losses have to agree, or the figures would compare different work.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path

# Read when torch is imported, so before what imports it. Variants of other shapes follow each other; without it,
# what one leaves in pieces is no room for the next.
os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")

from fabula_workloads.models.torchvision_shim import prepare_torchvision

prepare_torchvision()

import data  # noqa: E402
import data_path  # noqa: E402
import shapes  # noqa: E402
import torch  # noqa: E402
from measure import Bench, Figures  # noqa: E402
from variants import variants  # noqa: E402

from fabula_workloads.models.family import liger_missing  # noqa: E402
from fabula_workloads.training.schedule.packing import fill, pack  # noqa: E402

COLUMNS = (
    "data", "variant", "tokens/s", "samples/s", "against the reference", "padding", "MFU", "GiB", "waits a pass",
    "slowest/fastest",
)  # fmt: skip
SPEED_GOAL = 2.0
"""Times the reference's tokens/s, on a GPU."""


def keep(file: Path | None, measured: dict[str, list[Figures]]) -> None:
    """Write what is measured so far: a benchmark on borrowed time may not come to its end."""
    if file:
        file.write_text(json.dumps([asdict(figures) for part in measured.values() for figures in part], indent=2))


def compare(rows: list[Figures], *, device: str) -> str | None:
    """Set each variant beside the first. Which of them has not done the same work, if any."""
    reference, differ = rows[0], None
    for figures in rows:
        if figures.missing or reference.missing:
            continue
        # bf16 sums in another order differ in the third digit; other work would differ in the first. NaN is never near.
        if not abs(figures.loss / reference.loss - 1) <= (2e-2 if device == "cuda" else 1e-4):
            differ = f"{figures.variant} has loss {figures.loss}, {reference.variant} {reference.loss}"
        figures.versus_reference = figures.tokens_per_second / reference.tokens_per_second
    return differ


def table(rows: list[Figures]) -> None:
    """Print a Markdown row for each."""
    for figures in rows:
        if figures.missing:
            print(f"| {figures.data} | {figures.variant} | {figures.missing} | | | | | | | |", flush=True)
            continue
        versus = f"{figures.versus_reference:.2f}x" if figures.versus_reference is not None else ""
        mfu = f"{100 * figures.mfu:.1f} %" if figures.mfu is not None else ""
        memory = f"{figures.memory_gib:.1f}" if figures.memory_gib is not None else ""
        waits = str(figures.waits) if figures.waits is not None else ""
        print(
            f"| {figures.data} | {figures.variant} | {figures.tokens_per_second:,.0f} "
            f"| {figures.samples_per_second:.1f} "
            f"| {versus} | {100 * figures.padding:.0f} % | {mfu} | {memory} | {waits} | {figures.spread:.2f} |",
            flush=True,
        )


def goals(chosen: data.Data, rows: list[Figures]) -> None:
    """Print which goals the best variant reaches."""
    measured = [figures for figures in rows if not figures.missing]
    if not measured:
        print(f"FAIL {chosen.name}: nothing was measured", flush=True)
        return
    best = max(measured, key=lambda figures: figures.tokens_per_second)
    versus = best.versus_reference
    shown = f"{versus:.2f}x" if versus is not None else "unknown: the reference was not measured"
    reached = [(f"{SPEED_GOAL:g}x the reference", (versus or 0.0) >= SPEED_GOAL, shown)]
    if chosen.mfu_goal is not None:
        share = best.mfu
        shown = f"{100 * share:.1f} %" if share is not None else "unknown: the GPU's peak is not known"
        reached.append((f"MFU of {100 * chosen.mfu_goal:.0f} %", (share or 0.0) >= chosen.mfu_goal, shown))
    for goal, passed, shown in reached:
        print(f"{'PASS' if passed else 'FAIL'} {chosen.name}: {goal}, {shown} ({best.variant})", flush=True)


def main() -> None:
    """Measure and print a Markdown table; `--json` keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", choices=tuple(shapes.TEXT), help="default: cpu, or 2B on a GPU")
    parser.add_argument("--data", action="append", help="only these data, by name; may be given several times")
    parser.add_argument("--variants", help="a regular expression: only the variants whose name it is found in")
    parser.add_argument("--repeats", type=int, help="turns that are timed; default: 5, or 2 on a GPU")
    parser.add_argument("--minutes", type=float, help="after which nothing more is begun; default: 8 on a GPU")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--profile", type=Path, help="folder for a trace of each variant; on a GPU: ./profile")
    options = parser.parse_args()
    cuda = options.device == "cuda"
    if cuda and not torch.cuda.is_available():
        parser.error("no CUDA device here; leave --device out for the CPU's ratios")
    torch.set_num_threads(options.threads)
    shape = options.shape or ("2B" if cuda else "cpu")
    repeats = options.repeats or (2 if cuda else 5)
    profile = options.profile or (Path("profile") if cuda else None)
    if profile:
        profile.mkdir(parents=True, exist_ok=True)
    where = torch.cuda.get_device_name() if cuda else f"a CPU, {torch.get_num_threads()} threads, processor time"
    print(f"Qwen3-VL of shape {shape} on {where}; median of {repeats} turns, torch {torch.__version__}\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    offered = data.GPU if cuda else data.CPU
    chosen = [dataset for dataset in offered if not options.data or dataset.name in options.data]
    measured: dict[str, list[Figures]] = {dataset.name: [] for dataset in chosen}
    every = variants(shape, liger=cuda and not liger_missing())
    wanted = [variant for variant in every if re.search(options.variants or "", variant.name)]
    if not chosen or not wanted:
        parser.error(f"--data or --variants leaves nothing; variants: {', '.join(variant.name for variant in every)}")
    start, seconds = time.monotonic(), 60 * (options.minutes or (8 if cuda else math.inf))
    done = 0
    for liger in sorted({variant.liger for variant in wanted}):
        bench = Bench(shape, options.device, liger=liger, end=start + seconds)
        of_bench = [variant for variant in wanted if variant.liger == liger]
        for dataset in chosen:
            done += len(of_bench)
            until = start + seconds * done / (len(wanted) * len(chosen))
            measured[dataset.name] += (new := bench.measure(dataset, of_bench, repeats, until=until, profile=profile))
            differ = compare(measured[dataset.name], device=options.device)
            table(new)
            keep(options.json, measured)
            if differ:
                raise SystemExit(f"{differ}: other work")
        if cuda:
            print(f"expandable segments: {'used' if bench.expandable() else 'NOT used, memory may be in pieces'}")
        del bench
        # The model hangs in cycles with its hooks; a second one beside it may have no room.
        gc.collect()
        if cuda:
            torch.cuda.empty_cache()
    print()
    for dataset in chosen:
        if cuda:
            goals(dataset, measured[dataset.name])
        lengths = [len(sample["input_ids"]) for sample in data.samples(dataset, 64)]
        share = fill(pack(lengths, dataset.capacity, seed=0), lengths, dataset.capacity)
        print(f"{dataset.name}: {len(lengths)} samples of {min(lengths)} to {max(lengths)} tokens, "
              f"sequences of {dataset.capacity} are {100 * share:.0f} % full")  # fmt: skip
    if not cuda:
        data_path.report()
    if any((figures.missing or "").startswith("failed") for part in measured.values() for figures in part):
        sys.exit(1)


if __name__ == "__main__":
    main()
