"""A counted run: two ranks of the worker's own trainer on the copy, and what the last optimizer step moved."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gather_data
import gather_shapes

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_workloads.training.launcher.deepspeed_config import render
from fabula_workloads.training.messages.job import TrainingJob

RANKS, STEPS = 2, 2
"""DeepSpeed knows the order of modules, and fetches ahead, from the third pass on: the second step."""
COMPUTED = ("forward", "recompute", "backward")


@dataclass(frozen=True)
class Setting:
    """A way to train."""

    name: str
    training: dict[str, Any] = field(default_factory=dict)
    stage: int = 3
    as_transformers: bool = False
    """Recompute as transformers does, and not each layer as a whole."""
    widest: int = 25_600
    """Longest side of a matrix with a low-rank update; 0: its factors are gathered like others of their size."""


@dataclass(frozen=True)
class Counts:
    """Of the last optimizer step, by a rank; sums over its passes."""

    passes: int
    samples: int
    calls: dict[str, int]
    elements: dict[str, int]
    gathers: dict[str, int]
    """Times each parameter was gathered."""
    joined: dict[str, int]
    """Times each was gathered together with others, and so copied into its place."""
    saved: float
    """Elements that a rank receives while an adapter is saved."""
    evaluated: float
    """All-gathered elements of an evaluation's pass."""
    losses: list[float]


def run(work: Path, setting: Setting, model: dict[str, int], copy: dict[str, int]) -> Counts:
    """Train two steps with two ranks, and read what the first one counted in the last."""
    folder = work / setting.name.replace(" ", "-")
    for part in ("saved", "final", "logs"):
        (folder / part).mkdir(parents=True)
    training = {"maxSteps": STEPS, "maxLength": 1024, "precision": "fp32", "loaderWorkers": 0} | setting.training
    spec = FineTuneRunSpec.model_validate(
        {
            "dataset": {"uri": "dataset"}, "model": {"uri": "model"}, "training": training,
            "lora": {"rank": gather_shapes.LORA_RANK_OF_COPY}, "deepspeed": {"stage": setting.stage},
            "pixels": {"minPixels": 1024, "maxPixels": 65536}, "topology": {"gpusPerNode": RANKS, "device": "cpu"},
        }
    )  # fmt: skip
    config = gather_shapes.scaled(
        render(spec, gather_shapes.HIDDEN, setting.widest * gather_shapes.LORA_RANK), model, copy
    )
    job = TrainingJob(
        spec=spec, dataset=work / "dataset", model=work / "model", base_name="copy", deepspeed=config, work=folder
    ).write()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "FABULA_TRAINING_JOB": str(job), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "WORLD_SIZE": str(RANKS), "LOCAL_WORLD_SIZE": str(RANKS), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, str(Path(__file__).with_name("gather_count.py")), str(folder / "counts.json")]
    command += ["--as-transformers"] * setting.as_transformers
    ranks = []
    for rank in range(RANKS):
        with (folder / f"log-{rank}").open("wb") as log:
            environment = os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            ranks.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    codes = [process.wait() for process in ranks]
    if any(codes):
        raise SystemExit(f"{setting.name} failed:\n{(folder / 'log-0').read_text()[-3000:]}")
    return _last_step(json.loads((folder / "counts.json").read_text()), spec.training.gradient_accumulation_steps, copy)


def _last_step(tally: dict[str, Any], passes: int, copy: dict[str, int]) -> Counts:
    first = len(tally["samples"]) - passes
    calls, elements, gathers, joined = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    in_passes = evaluated = saved = 0
    for number, phase, kind, calls_made, moved in tally["collectives"]:
        if number > first and phase in (*COMPUTED, "update"):
            calls[kind] += calls_made
            elements[kind] += moved
            in_passes += moved if kind == "all-gather" and phase in COMPUTED else 0
        elif phase == "evaluation" and kind == "all-gather":
            evaluated += moved
        elif phase == "saving":
            saved += moved
    for number, phase, name, times in tally["gathers"]:
        if number > first and phase in COMPUTED:
            gathers[name] += times
    for number, phase, name, times in tally["joined"]:
        if number > first and phase in COMPUTED:
            joined[name] += times
    by_name = sum(times * copy[name] for name, times in gathers.items())
    # DeepSpeed fills a parameter up to a multiple of the ranks.
    if not 0 <= in_passes - by_name < RANKS * max(1, sum(gathers.values())):
        raise SystemExit(f"{in_passes} elements were gathered, but the parameters asked for have {by_name}")
    _check_inner_layers(gathers)
    evaluations = gather_data.SAMPLES["validation"] / RANKS
    return Counts(
        passes,
        sum(tally["samples"][first:]),
        calls,
        elements,
        gathers,
        joined,
        saved / max(1, tally["saves"]),
        evaluated / evaluations,
        tally["losses"],
    )


def _check_inner_layers(gathers: Counter[str]) -> None:
    """What stands for the layers left out must be like its neighbours."""
    for inner, beside in ((gather_shapes.INNER_LAYER, (3, 4, 6)), (gather_shapes.INNER_BLOCK, (1, 3))):
        inside = {name: times for name, times in gathers.items() if inner in name}
        for number in beside:
            other = inner.rstrip("0123456789.") + f".{number}."
            if any(gathers[name.replace(inner, other)] != times for name, times in inside.items()):
                raise SystemExit(f"{inner} is gathered otherwise than {other}: it cannot stand for others")
