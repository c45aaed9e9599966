"""How many answers fit into memory at once, reckoned from the model's shape before the first one is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabula_api.shared_spec import PixelWindow
from fabula_workloads.recipe_parts.sample import MAX_IMAGES

MOST_ROWS = 16
"""More rows gain little: the rows that end early wait for the longest."""
_SHARE = {"cuda": 0.8, "cpu": 0.5}
"""Of the free memory; the rest is for what is not reckoned here, and on a CPU for others."""
_PATCH = 28
"""Pixels of a token's side at least, in the families that there are."""
_PROMPT_WORDS = 1024
_LOGIT_BYTES = 40
"""Of a word of the vocabulary and a row: its logit in two precisions, and softmax and sum in fp64."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a row's memory follows from."""

    layers: int
    key_values: int
    """Key and value heads times their size."""
    hidden: int
    intermediate: int
    vocabulary: int
    bytes_each: int


def row_bytes(shape: Shape, prompt: int, new: int) -> int:
    """Bytes that one answer takes: its keys and values, the prompt's pass through a layer, and the words' shares."""
    cache = 2 * shape.layers * shape.key_values * shape.bytes_each * (prompt + new)
    passing = prompt * (8 * shape.hidden + 3 * shape.intermediate) * shape.bytes_each
    return cache + passing + shape.vocabulary * _LOGIT_BYTES


def rows(free: float, row: int) -> int:
    """So many rows at once, one at least."""
    return max(1, min(MOST_ROWS, int(free // row)))


def rows_that_fit(model: Any, pixels: PixelWindow, new_tokens: int) -> int:
    """For a loaded model: how many answers its device's free memory is likely to hold at once."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    # A mixture of experts computes a token in a few of them.
    wide = max(config.intermediate_size, 8 * (getattr(config, "moe_intermediate_size", None) or 0))
    bytes_each = model.dtype.itemsize
    shape = Shape(config.num_hidden_layers, heads * size, config.hidden_size, wide, config.vocab_size, bytes_each)
    prompt = MAX_IMAGES * pixels.max_pixels // _PATCH**2 + _PROMPT_WORDS
    return rows(_SHARE[model.device.type] * _free(model.device), row_bytes(shape, prompt, new_tokens))


def _free(device: Any) -> float:
    import torch

    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return float(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(_free_of_the_machine(), _free_of_the_pod())


def _free_of_the_machine() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), float("inf"))


def _free_of_the_pod(group: Path = Path("/sys/fs/cgroup")) -> float:
    """What the container's limit leaves; what the kernel holds of files it would give back."""
    try:
        limit = (group / "memory.max").read_text().strip()
        if limit == "max":
            return float("inf")
        counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return float(limit) - float((group / "memory.current").read_text()) + float(counts.get("inactive_file", 0))
    except (OSError, ValueError):
        return float("inf")
