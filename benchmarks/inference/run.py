"""Inference speed of one process: tokens/s at several batch sizes, with what a token costs apart from the model.

`python benchmarks/inference/run.py` measures on the CPU with a small model; `--device cuda --shape 8B` on a GPU.
Weights are random, so no answer ends by itself: every row has as many tokens as are asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Read when torch is imported.
os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
# Shapes are those of the training benchmark.
sys.path.append(str(Path(__file__).parents[1] / "training"))

from fabula_workloads.models.torchvision_shim import prepare_torchvision

prepare_torchvision()

import shapes  # noqa: E402
import torch  # noqa: E402
from transformers import Qwen3VLForConditionalGeneration  # noqa: E402

from fabula_workloads.inference.sampling import processors  # noqa: E402


@dataclass
class Figures:
    """What was measured of a batch."""

    batch: int
    prompt: int
    """Tokens of a row before its answer."""
    tokens: int
    """Of a row's answer."""
    prompt_seconds: float
    """Until the first token of all rows."""
    tokens_per_second: float
    """Of all rows, after the first."""
    sampling_ms: float
    """What drawing a token of every row takes: temperature, top-k, top-p and the draw."""
    memory_gib: float | None


def load(shape: str, device: str) -> Any:
    """The model as an evaluation holds it."""
    torch.manual_seed(0)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device(device):
        made = Qwen3VLForConditionalGeneration._from_config(
            shapes.config(shape), dtype=dtype, attn_implementation="sdpa"
        )
    config = made.generation_config
    config.eos_token_id, config.pad_token_id, config.do_sample = None, 0, False
    return made.eval().to(device)


def prompt(batch: int, pictures: int, grid: tuple[int, int], text: int, device: str) -> dict[str, Any]:
    """A batch of equal rows: pictures of random pixels and a question of random words."""
    high, wide = grid
    generator = torch.Generator().manual_seed(0)
    picture = [shapes.VISION_START, *[shapes.IMAGE] * (high * wide // 4), shapes.VISION_END]
    ids = torch.cat([torch.tensor(picture * pictures), torch.randint(8, 2048, (text,), generator=generator)])
    ids = ids.repeat(batch, 1)
    made = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == shapes.IMAGE).int(),
        "pixel_values": torch.randn(batch * pictures * high * wide, 3 * 2 * 16 * 16, generator=generator),
        "image_grid_thw": torch.tensor([[1, high, wide]] * (pictures * batch)),
    }
    return {name: value.to(device) for name, value in made.items()}


class Clock:
    """Wall time, once the device has done all that it was given."""

    def __init__(self, device: str) -> None:
        self._cuda = device == "cuda"

    def now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


def measure(model: Any, device: str, batch: int, asked: dict[str, Any], tokens: int, repeats: int) -> Figures:
    """Median of the repeats; one more before them warms up."""
    clock = Clock(device)

    def answer(new: int) -> float:
        chain, _ = processors(range(batch), temperature=0.7, top_p=0.8, top_k=20)
        since = clock.now()
        with torch.inference_mode():
            made = model.generate(**asked, max_new_tokens=new, logits_processor=chain, do_sample=False)
        taken = clock.now() - since
        length = asked["input_ids"].shape[1]
        if made.shape != (batch, length + new):
            raise SystemExit(f"asked for {new} tokens of {batch} rows after {length}, got {tuple(made.shape)}")
        return taken

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    answer(2)
    first = statistics.median(answer(1) for _ in range(repeats))
    whole = statistics.median(answer(tokens) for _ in range(repeats))
    memory = torch.cuda.max_memory_allocated() / 1024**3 if device == "cuda" else None
    return Figures(
        batch,
        asked["input_ids"].shape[1],
        tokens,
        first,
        batch * (tokens - 1) / (whole - first),
        sampling(model.config.text_config.vocab_size, batch, device),
        memory,
    )


def sampling(vocabulary: int, batch: int, device: str, draws: int = 50) -> float:
    """Milliseconds to draw a token of every row."""
    clock = Clock(device)
    chain, _ = processors(range(batch), temperature=0.7, top_p=0.8, top_k=20)
    asked = torch.zeros(batch, 1, dtype=torch.long, device=device)
    scores = torch.randn(batch, vocabulary, device=device)
    chain(asked, scores)
    since = clock.now()
    for _ in range(draws):
        chain(asked, scores).argmax(dim=-1)
    return 1000 * (clock.now() - since) / draws


def main() -> None:
    """Measure and print a Markdown table; `--json` keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", choices=tuple(shapes.TEXT), help="default: cpu, or 8B on a GPU")
    parser.add_argument("--batch", type=int, action="append", help="rows at once; default: 1 and 8")
    parser.add_argument("--tokens", type=int, default=128, help="of each answer")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    cuda = options.device == "cuda"
    if cuda and not torch.cuda.is_available():
        parser.error("no CUDA device here; leave --device out for the CPU")
    torch.set_num_threads(options.threads)
    shape = options.shape or ("8B" if cuda else "cpu")
    # On a GPU the published shape: five pictures of 1344 x 768 in the default window, 405 tokens each.
    pictures, grid, text = (5, (30, 54), 200) if cuda else (2, (14, 14), 60)
    where = torch.cuda.get_device_name() if cuda else f"a CPU, {torch.get_num_threads()} threads"
    print(f"Qwen3-VL of shape {shape} on {where}, torch {torch.__version__}; {options.tokens} tokens an answer\n")
    print("| rows | prompt, tokens a row | first token, s | tokens/s | tokens/s a row | drawing, ms a token | GiB |")
    print("|---|---|---|---|---|---|---|")
    model, measured = load(shape, options.device), []
    for batch in options.batch or (1, 8):
        asked = prompt(batch, pictures, grid, text, options.device)
        measured.append(figures := measure(model, options.device, batch, asked, options.tokens, options.repeats))
        memory = f"{figures.memory_gib:.1f}" if figures.memory_gib is not None else ""
        print(
            f"| {batch} | {figures.prompt:,} | {figures.prompt_seconds:.2f} | {figures.tokens_per_second:,.1f} "
            f"| {figures.tokens_per_second / batch:,.1f} | {figures.sampling_ms:.2f} | {memory} |",
            flush=True,
        )
        if options.json:
            options.json.write_text(json.dumps([asdict(row) for row in measured], indent=2))


if __name__ == "__main__":
    main()
