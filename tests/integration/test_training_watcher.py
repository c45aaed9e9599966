"""A watcher through the train stage: stage after stage, each beginning with the one before, and a run that goes on ends
equal to the bit."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.training_world import EVERY, World
from tests.support.watching_world import build_watching_model, write_watching

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.invariant]
needs_soak = pytest.mark.skipif(not os.environ.get("FABULA_SOAK"), reason="six trainings: FABULA_SOAK=1 runs them")
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("watchers")
    write_watching(folder / "root" / "dataset")
    build_watching_model(folder / "root" / "model")
    (folder / "cache").mkdir()
    world = World(folder)
    yield world
    world.close()


def run(world: World, name: str, zero: int = 2, **block: Any) -> Path:
    code, result = world.run(
        name,
        recipe="visual-instruction",
        visualInstruction=block,
        training={"perDeviceBatchSize": 2, "neftuneNoiseAlpha": 0},
        lora={"targetModules": TARGETS},
        deepspeed={"stage": zero},
    )
    assert code == 0, world.log(name)
    assert result.metrics["loss"] < result.metrics["firstLoss"]
    assert result.metrics["uniqueShare"] == 1
    return world.output(name)


@needs_soak
def test_a_run_that_goes_on_from_a_checkpoint_ends_equal_to_the_bit(world: World) -> None:
    block = {"stage": "streaming", "projectorLearningRate": 0.001}
    whole = run(world, "whole", **block)
    step = f"checkpoints/step-{EVERY:06d}"
    shutil.copytree(whole / step, world.output("again") / step)
    again = run(world, "again", **block)
    assert world.log("again").count("going on from the checkpoint of step 5") == 1
    for file in ("watcher.safetensors", "adapter_model.safetensors", "loss.jsonl"):
        assert (whole / file).read_bytes() == (again / file).read_bytes(), file


@needs_soak
def test_a_stage_trains_under_zero_3_too(world: World) -> None:
    made = run(world, "zero-3", 3, stage="streaming")
    assert json.loads((made / "watcher.json").read_text())["stages"] == ["streaming"]
