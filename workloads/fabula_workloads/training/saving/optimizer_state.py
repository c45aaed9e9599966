"""The optimizer's state in files that any number of ranks can go on from, under any ZeRO stage and without.

DeepSpeed's own checkpoints hold each rank's flat shard, and open only for as many ranks as wrote them. Here each rank
writes what it holds cut by parameter, every cut with its place in the whole, and reads what it needs of all ranks'
files. Nothing is gathered, so memory stays bounded for a model that is trained in full (12 bytes a weight).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.training.libraries.zero import (
    MASTER,
    MOMENTS,
    Part,
    elements,
    is_needed,
    make_state,
    own_part,
    rewriting,
    steps,
)

FOLDER = "optimizer"
"""Folder of the files in a checkpoint."""
FILE_BYTES = 1 << 30
"""Size of a file, and so what a rank holds in memory while it saves; one cut of a parameter may exceed it."""
_KEYS = (MASTER, *MOMENTS)


def save(engine: Any, folder: Path, *, rank: int, file_bytes: int = FILE_BYTES) -> None:
    """Write this rank's fp32 weights and AdamW's moments of every trained parameter. All ranks call it."""
    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    zero = engine.optimizer
    metadata = {"step": str(steps(zero))}
    number, held, size = 0, dict[str, torch.Tensor](), 0
    for name, parameter in _trained(engine) if is_needed(zero, rank) else ():
        for key in _KEYS:
            if part := own_part(zero, parameter, key):
                held[f"{name}@{part.start}/{key}"] = part.tensor.detach().to("cpu", copy=True)
                size += part.tensor.nbytes
        if size >= file_bytes:
            save_file(held, target / f"rank-{rank:05d}-{number:05d}.safetensors", metadata=metadata)
            number, held, size = number + 1, {}, 0
    if held or not number:  # a rank without any part says so by an empty file
        save_file(held, target / f"rank-{rank:05d}-{number:05d}.safetensors", metadata=metadata)


def restore(engine: Any, folder: Path) -> None:
    """Give this rank its part of what all ranks saved. Raises InputInvalid when it is of other parameters."""
    zero = engine.optimizer
    with ExitStack() as stack:
        saved = Saved(folder / FOLDER, stack)
        names = {name: elements(parameter) for name, parameter in _trained(engine)}
        if problem := saved.differs_from(names):
            raise InputInvalid(f"the checkpoint is of other trained parameters than the run's: {problem}")
        make_state(zero, saved.step)
        with rewriting(engine):
            for name, parameter in _trained(engine):
                for key in _KEYS:
                    if part := own_part(zero, parameter, key):
                        saved.read(name, key, part)


class _Cut(NamedTuple):
    """A cut of a parameter in a file."""

    start: int
    end: int
    file: Any
    entry: str


class Saved:
    """The files of all ranks, as one."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.step = 0
        self._cuts: dict[tuple[str, str], list[_Cut]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            file = stack.enter_context(safe_open(path, framework="pt"))
            self.step = int(file.metadata()["step"])
            for entry in file.keys():  # noqa: SIM118 - it is no mapping
                place, _, key = entry.rpartition("/")
                name, _, start = place.rpartition("@")
                length = file.get_slice(entry).get_shape()[0]
                self._cuts.setdefault((name, key), []).append(_Cut(int(start), int(start) + length, file, entry))
        for cuts in self._cuts.values():
            cuts.sort()

    def differs_from(self, names: dict[str, int]) -> str | None:
        """What is there of other parameters than these (by name, with their number of elements), or not whole."""
        saved = {name for name, _ in self._cuts}
        if different := sorted(saved ^ names.keys()):
            return f"{different[0]} and {len(different) - 1} more are in one of them only"
        for (name, key), cuts in self._cuts.items():
            joined = all(cut.end == following.start for cut, following in itertools.pairwise(cuts))
            if cuts[0].start != 0 or cuts[-1].end != names[name] or not joined:
                return f"its {key} of {name} does not have the run's {names[name]} elements"
        return None

    def read(self, name: str, key: str, part: Part) -> None:
        """Fill a rank's part from the cuts that it overlaps."""
        end = part.start + part.tensor.numel()
        for cut in self._cuts[name, key]:
            first, last = max(part.start, cut.start), min(end, cut.end)
            if first < last:
                piece = cut.file.get_slice(cut.entry)[first - cut.start : last - cut.start]
                part.tensor[first - part.start : last - part.start].copy_(piece)


def _trained(engine: Any) -> Iterator[tuple[str, Any]]:
    return ((name, p) for name, p in engine.module.named_parameters() if p.requires_grad)
