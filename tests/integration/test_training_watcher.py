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
from tests.support.training_world import EVERY, STEPS, World
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


def run(world: World, name: str, zero: int = 2, begin: str | None = None, steps: int = STEPS, **block: Any) -> Path:
    place = f"out/{begin}"
    code, result = world.run(
        name,
        recipe="visual-instruction",
        visualInstruction=block | ({"begin": {"uri": place}} if begin else {}),
        given={"begin": place} if begin else {},
        training={"perDeviceBatchSize": 2, "neftuneNoiseAlpha": 0, "maxSteps": steps},
        lora={"targetModules": TARGETS},
        deepspeed={"stage": zero},
    )
    assert code == 0, world.log(name)
    if steps == STEPS:
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
def test_a_third_stage_keeps_the_updates_of_both_before_it(world: World) -> None:
    one = run(world, "one", steps=2, stage="finetune")
    two = run(world, "two", steps=2, begin="one", stage="streaming", earlierUpdate="merged")
    three = run(world, "three", steps=2, begin="two", stage="instruct", earlierUpdate="stacked")
    assert json.loads((three / "watcher.json").read_text())["stages"] == ["finetune", "streaming", "instruct"]
    kept = [(three / f"earlier/{number:02d}/adapter_model.safetensors").read_bytes() for number in range(2)]
    assert kept == [(made / "adapter_model.safetensors").read_bytes() for made in (one, two)]
    parts = {part["path"] for part in json.loads((three / "manifest.json").read_text())["parts"]}
    assert {"earlier/00/adapter_config.json", "earlier/01/adapter_model.safetensors", "watcher.json"} <= parts


@needs_soak
def test_a_stage_trains_under_zero_3_too(world: World) -> None:
    made = run(world, "zero-3", 3, stage="streaming")
    assert json.loads((made / "watcher.json").read_text())["stages"] == ["streaming"]
