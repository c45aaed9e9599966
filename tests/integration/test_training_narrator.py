"""A narrator through the train stage: words first, then clips; and a run that goes on ends equal to the bit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.narration_world import build_language_model, write_narration
from tests.support.training_world import EVERY, World

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.invariant]
MAPPING = {"mapping": {"latents": 4, "characterLatents": 4}}
needs_soak = pytest.mark.skipif(not os.environ.get("FABULA_SOAK"), reason="five trainings: FABULA_SOAK=1 runs them")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("narrators")
    write_narration(folder / "root" / "dataset")
    build_language_model(folder / "root" / "model")
    (folder / "cache").mkdir()
    world = World(folder)
    yield world
    world.close()


def run(world: World, name: str, stage: int = 2, precision: str = "fp32", **block: Any) -> Path:
    code, result = world.run(
        name,
        recipe="audio-description",
        audioDescription=block,
        training={"perDeviceBatchSize": 2, "neftuneNoiseAlpha": 0, "precision": precision},
        lora={"targetModules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
        deepspeed={"stage": stage},
    )
    assert code == 0, world.log(name)
    assert result.metrics["loss"] < result.metrics["firstLoss"]
    assert result.metrics["uniqueShare"] == 1
    return world.output(name)


@needs_soak
def test_a_run_that_goes_on_from_a_checkpoint_ends_equal_to_the_bit(world: World) -> None:
    whole = run(world, "whole", languageModel="lora", **MAPPING)
    step = f"checkpoints/step-{EVERY:06d}"
    shutil.copytree(whole / step, world.output("again") / step)
    again = run(world, "again", languageModel="lora", **MAPPING)
    assert world.log("again").count("going on from the checkpoint of step 5") == 1
    for file in ("narrator.safetensors", "adapter_model.safetensors", "loss.jsonl"):
        assert (whole / file).read_bytes() == (again / file).read_bytes(), file


@needs_soak
@pytest.mark.parametrize("stage", [2, 3])
def test_norms_are_learned_too_where_they_are_asked_for(world: World, stage: int) -> None:
    from safetensors import safe_open

    made = run(world, f"norms-{stage}", stage, languageModel="lora-and-norms", **MAPPING)
    with safe_open(made / "narrator.safetensors", "pt") as weights:
        names = set(weights.keys())
    assert any("input_layernorm" in name for name in names)
    assert not any("lora_" in name for name in names)
    assert {"heads.weight", "clips.latents", "faces.latents"} <= names


@needs_soak
def test_every_stage_trains_alike_and_goes_on_from_the_checkpoint_of_another(world: World) -> None:
    """Plain data parallelism, ZeRO-1 and ZeRO-2: how state is spread changes no loss."""

    def losses(name: str) -> list[float]:
        return [step["loss"] for step in world.curve(name)]

    for stage in (0, 1, 2):
        run(world, f"stage-{stage}", stage, languageModel="lora", **MAPPING)
    for stage in (0, 1):
        assert losses(f"stage-{stage}") == pytest.approx(losses("stage-2"), rel=1e-5)
        norms = [[step["gradNorm"] for step in world.curve(f"stage-{one}")] for one in (stage, 2)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    step = f"checkpoints/step-{EVERY:06d}"
    for earlier, later in ((0, 2), (2, 0), (2, 1)):
        name = f"from-{earlier}-to-{later}"
        shutil.copytree(world.output(f"stage-{earlier}") / step, world.output(name) / step)
        run(world, name, later, languageModel="lora", **MAPPING)
        assert losses(name) == pytest.approx(losses("stage-2"), rel=1e-5)
    for stage in (1, 2):
        run(world, f"bf16-{stage}", stage, "bf16", languageModel="lora", **MAPPING)
    assert losses("bf16-1") == pytest.approx(losses("bf16-2"), rel=1e-2)
    shutil.copytree(world.output("bf16-1") / step, world.output("bf16-again") / step)
    run(world, "bf16-again", 1, "bf16", languageModel="lora", **MAPPING)
    assert losses("bf16-again") == losses("bf16-1")
