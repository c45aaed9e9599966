"""What ranks tell each other in training, counted: two of them on a CPU, under production's DeepSpeed config.

`python benchmarks/training/gathers.py` trains a copy of the 32B model, each width a 32nd, with the worker's own trainer
under gloo, counts the collectives of an optimizer step, and tells what they are for the 32B on 8 GPUs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from fabula_workloads.models.torchvision_shim import prepare_torchvision

prepare_torchvision()

import gather_data  # noqa: E402
import gather_shapes  # noqa: E402
from gather_run import RANKS, Counts, Setting, run  # noqa: E402

RANKS_OF_MODEL, SAMPLES_OF_STEP = 8, 32
NVLINK = 300e9
"""Bytes a second of an A100's NVLink by its data sheet, as far as a rank receives. Nobody reaches that."""

_PACKED = {"packing": True, "gradientAccumulationSteps": 2}
SETTINGS = (
    Setting("reference: one sample a pass, recomputed as transformers does", as_transformers=True),
    Setting("one sample a pass, layers recomputed as a whole"),
    Setting("packed, as transformers does", _PACKED, as_transformers=True),
    Setting("packed", _PACKED),
    Setting("packed, threshold 100,000", _PACKED, widest=0),
    Setting("packed, recomputeEvery 2", _PACKED | {"recomputeEvery": 2}),
    Setting("packed, nothing recomputed", _PACKED | {"gradientCheckpointing": False}),
    Setting("packed, ZeRO-2", _PACKED, stage=2),
)


def check_losses(results: list[tuple[Setting, Counts]]) -> None:
    """The same samples must have given the same losses: to the bit, but for another ZeRO stage."""
    for setting, counts in results:
        packing = setting.training.get("packing")
        reference = next(first for other, first in results if other.training.get("packing") == packing)
        for loss, expected in zip(counts.losses, reference.losses, strict=True):
            if abs(loss - expected) > (0 if setting.stage == 3 else 1e-5 * expected):
                raise SystemExit(f"{setting.name} has loss {loss}, another on the same samples {expected}")


def counted(results: list[tuple[Setting, Counts]]) -> None:
    """Print what was counted, per sample."""
    print("| setting | all-gathers a sample | million elements | gathers of a frozen matrix a pass "
          "| reduced a sample, million elements | loss |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for setting, counts in results:
        inner = {name: times for name, times in counts.gathers.items() if gather_shapes.INNER_LAYER in name}
        frozen = [times / counts.passes for name, times in inner.items() if name.endswith("proj.base_layer.weight")]
        moved = counts.elements["all-gather"] / counts.samples / 1e6
        reduced = (counts.elements["reduce-scatter"] + counts.elements["all-reduce"]) / counts.samples / 1e6
        print(
            f"| {setting.name} | {counts.calls['all-gather'] / counts.samples:,.0f} | {moved:.2f} "
            f"| {sum(frozen) / len(frozen) if frozen else 0:.0f} "
            f"| {reduced:.3f} | {counts.losses[-1]:.6f} |"
        )


def of_model(results: list[tuple[Setting, Counts]], model: dict[str, int]) -> None:
    """Print what the same counts are for the 32B: each parameter's gathers times its own size in bf16."""
    lora = gather_shapes.whole({name: float(size) for name, size in model.items() if "lora_" in name})
    print("| setting | passes a rank | GB gathered | share | seconds at 300 GB/s | GB copied into place |")
    print("|---|---|---|---|---|---|")
    first = None
    for setting, counts in results:
        elements = gather_shapes.whole({name: float(times * model[name]) for name, times in counts.gathers.items()})
        if setting.stage == 2:
            elements = lora  # what was trained, once a step
        gigabytes = 2 * elements / 1e9
        first = first or gigabytes
        seconds = gigabytes * 1e9 * (RANKS_OF_MODEL - 1) / RANKS_OF_MODEL / NVLINK
        share = 100 * gigabytes / first
        copied = 2e-9 * gather_shapes.whole({name: float(n * model[name]) for name, n in counts.joined.items()})
        print(f"| {setting.name} | {counts.passes} | {gigabytes:,.1f} | {share:.1f} % "
              f"| {seconds:.2f} | {copied:,.1f} |")  # fmt: skip


def main() -> None:
    """Run all settings and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="settings whose names begin so")
    chosen = [setting for setting in SETTINGS if setting.name.startswith(parser.parse_args().only or "")]
    model, copy = gather_shapes.sizes(copy=False), gather_shapes.sizes(copy=True)
    results: list[tuple[Setting, Counts]] = []
    with tempfile.TemporaryDirectory() as name:
        gather_data.write(Path(name))
        for setting in chosen:
            print(f"{setting.name} ...", file=sys.stderr, flush=True)
            results.append((setting, run(Path(name), setting, model, copy)))
    check_losses(results)
    print(f"{RANKS} ranks, {gather_shapes.LAYERS} layers, {sum(copy.values()):,} parameters, gloo, fp32\n")
    counted(results)
    print(f"\nan evaluation gathers {results[0][1].evaluated / 1e6:.2f} million elements for each of its passes")
    trained = sum(size for name, size in copy.items() if "lora_" in name)
    print(f"saving the adapter of {trained:,} elements moves {results[0][1].saved:,.0f}")
    print(f"\nThe 32B on {RANKS_OF_MODEL} GPUs in bf16, an optimizer step of {SAMPLES_OF_STEP} samples\n")
    of_model(results, model)


if __name__ == "__main__":
    main()
