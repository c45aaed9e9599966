"""Training throughput of one process: packed against unpacked, ours against the reference's settings.

`python benchmarks/training/run.py` measures on the CPU with a small model; `--device cuda --shape 8B` on a GPU. All
variants train on the same samples, and their losses have to agree, or the figures would compare different work.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fabula_workloads.models.torchvision_shim import prepare_torchvision

prepare_torchvision()

import shapes  # noqa: E402
import torch  # noqa: E402

from fabula_api.gpu_products import gpu  # noqa: E402
from fabula_workloads.models.segments import rope_index  # noqa: E402
from fabula_workloads.training import measures  # noqa: E402
from fabula_workloads.training.collate import Collator, PackedCollator  # noqa: E402
from fabula_workloads.training.flops import ModelFlops  # noqa: E402
from fabula_workloads.training.loss import token_loss  # noqa: E402
from fabula_workloads.training.packing import fill, pack  # noqa: E402

Encoded = dict[str, Any]


@dataclass(frozen=True)
class Data:
    """Lengths of the samples, and the length of a packed sequence."""

    name: str
    samples: int
    text: tuple[int, int]
    pictures: tuple[int, int]
    grid: tuple[int, int]
    """Patches of a picture, high and wide; four of them are one token."""
    capacity: int


CPU_DATA = (
    Data("short", 48, (24, 160), (1, 1), (4, 4), 1024),
    Data("podcast, an eighth", 24, (120, 180), (1, 5), (14, 14), 1024),
)
GPU_DATA = (
    Data("short", 512, (64, 512), (1, 1), (16, 16), 16384),
    Data("podcast", 64, (900, 1400), (1, 5), (30, 54), 16384),
)
"""30 x 54 patches are the 405 tokens of a 1344 x 768 picture in the default window."""


@dataclass(frozen=True)
class Variant:
    """A way to train on the data."""

    name: str
    packed: bool
    batch: int
    """Samples of a pass, or packed sequences."""


REFERENCE = Variant("reference: one sample a pass", packed=False, batch=1)
VARIANTS = (
    REFERENCE,
    Variant("padded, 8 samples a pass", packed=False, batch=8),
    Variant("packed", packed=True, batch=1),
)


@dataclass
class Figures:
    """What was measured of a variant."""

    data: str
    variant: str
    tokens_per_second: float
    samples_per_second: float
    versus_reference: float
    padding: float
    """Share of the positions computed that hold no token."""
    loss: float
    mfu: float | None = None
    memory_gib: float | None = None


def samples(data: Data, vocabulary: int, seed: int = 0) -> list[Encoded]:
    """Encoded samples of random tokens and pixels: pictures, question, and an answer of three quarters of the text."""
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    high, wide = data.grid
    made = []
    for _ in range(data.samples):
        pictures, text = rng.randint(*data.pictures), rng.randint(*data.text)
        picture = [shapes.VISION_START, *[shapes.IMAGE] * (high * wide // 4), shapes.VISION_END]
        seen = torch.tensor(picture * pictures)
        said = torch.randint(8, vocabulary, (text,), generator=generator)
        ids = torch.cat([seen, said])
        labels = ids.clone()
        labels[: len(seen) + text // 4] = -100
        made.append(
            {
                "input_ids": ids,
                "labels": labels,
                "mm_token_type_ids": (ids == shapes.IMAGE).int(),
                "pixel_values": torch.randn(pictures * high * wide, 3 * 2 * 16 * 16, generator=generator),
                "image_grid_thw": torch.tensor([[1, high, wide]] * pictures),
            }
        )
    return made


def batches(variant: Variant, data: Data, encoded: list[Encoded], collate: Callable[..., Any]) -> Iterator[Any]:
    """The variant's batches of all samples."""
    lengths = [len(sample["input_ids"]) for sample in encoded]
    rows: Sequence[Sequence[int]] = (
        pack(lengths, data.capacity, seed=0) if variant.packed else [(index,) for index in range(len(encoded))]
    )
    for start in range(0, len(rows), variant.batch):
        yield collate([[encoded[index] for index in row] for row in rows[start : start + variant.batch]])


def measure(shape: str, device: str, data: Data, variant: Variant, repeats: int, profile: Path | None) -> Figures:
    """Passes over the data, forward and backward, one optimizer step each; the median of them after one to warm up."""
    model = shapes.model(shape, device, packed=variant.packed)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.0)
    needed = ModelFlops.of(model.config.to_dict(), sum(p.numel() for p in trained)).needed
    collate = PackedCollator(rope_index(model), needed) if variant.packed else Collator(0, needed)
    encoded = samples(data, model.config.text_config.vocab_size)
    made = list(batches(variant, data, encoded, collate))
    labelled = sum(int((sample["labels"][1:] != -100).sum()) for sample in encoded)
    counted, positions = measures.Measures(), 0
    for batch in made:
        counted.add(batch.pop(measures.KEY))
        positions += batch["input_ids"].numel()
    seconds, loss = [], 0.0
    for turn in range(repeats + 1):
        profiler = torch.profiler.profile() if profile and turn == repeats else None
        if profiler:
            profiler.start()
        since, loss = time.perf_counter(), 0.0
        for batch in made:
            inputs = {key: v.to(device) if isinstance(v, torch.Tensor) else v for key, v in batch.items()}
            part = token_loss(model(**{k: v for k, v in inputs.items() if k != "labels"}), inputs["labels"], labelled)
            part.backward()
            loss += part.item()
        torch.nn.utils.clip_grad_norm_(trained, 0.3)
        optimizer.step()
        optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        if turn:
            seconds.append(time.perf_counter() - since)
        if profiler:
            profiler.stop()
            assert profile is not None
            profiler.export_chrome_trace(str(profile))
    usual = statistics.median(seconds)
    found = Figures(
        data.name, variant.name, counted.tokens / usual, counted.samples / usual, 0.0,
        1 - counted.tokens / positions, loss,
    )  # fmt: skip
    if device == "cuda":
        found.memory_gib = torch.cuda.max_memory_allocated() / 1024**3
        known = gpu(torch.cuda.get_device_name().replace(" ", "-"))
        if known and known.teraflops:
            found.mfu = counted.flops / usual / (known.teraflops * 1e12)
        torch.cuda.reset_peak_memory_stats()
    return found


def main() -> None:
    """Measure and print a Markdown table; `--json` keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", choices=tuple(shapes.TEXT), help="default: cpu, or 2B on a GPU")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU; more than one suffer on a busy machine")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--profile", type=Path, help="folder for a Chrome trace of each variant")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device here; leave --device out for the CPU's ratios")
    torch.set_num_threads(options.threads)
    shape = options.shape or ("2B" if options.device == "cuda" else "cpu")
    if options.profile:
        options.profile.mkdir(parents=True, exist_ok=True)
    rows: list[Figures] = []
    print(f"shape {shape} on {options.device}, {torch.get_num_threads()} threads, median of {options.repeats}\n")
    print("| data | variant | tokens/s | samples/s | against the reference | padding | MFU | GiB |")
    print("|---|---|---|---|---|---|---|---|")
    for data in GPU_DATA if options.device == "cuda" else CPU_DATA:
        reference: Figures | None = None
        for variant in VARIANTS:
            trace = options.profile / f"{data.name}-{variant.name}.json".replace(" ", "-") if options.profile else None
            found = measure(shape, options.device, data, variant, options.repeats, trace)
            reference = reference or found
            # bf16 sums in another order differ in the third digit; other work would differ in the first.
            tolerance = 2e-2 if options.device == "cuda" else 1e-4
            if abs(found.loss / reference.loss - 1) > tolerance:
                raise SystemExit(
                    f"{variant.name} has loss {found.loss}, the reference {reference.loss}: not the same work"
                )
            found.versus_reference = found.tokens_per_second / reference.tokens_per_second
            rows.append(found)
            mfu = f"{100 * found.mfu:.1f} %" if found.mfu is not None else ""
            memory = f"{found.memory_gib:.1f}" if found.memory_gib is not None else ""
            print(
                f"| {data.name} | {variant.name} | {found.tokens_per_second:,.0f} | {found.samples_per_second:.1f} "
                f"| {found.versus_reference:.2f}x | {100 * found.padding:.0f} % | {mfu} | {memory} |",
                flush=True,
            )
    for data in GPU_DATA if options.device == "cuda" else CPU_DATA:
        lengths = [len(one["input_ids"]) for one in samples(data, 64)]
        share = fill(pack(lengths, data.capacity, seed=0), lengths, data.capacity)
        print(f"\n{data.name}: {len(lengths)} samples of {min(lengths)} to {max(lengths)} tokens, "
              f"sequences of {data.capacity} are {100 * share:.0f} % full")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
