"""An update computed in fp32 on a base in bf16: whole in what is saved, and equal to the bit after a kill."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.training_dataset import build_model, samples, write_dataset
from tests.support.training_world import World

pytestmark = [
    pytest.mark.torch,
    pytest.mark.invariant,
    pytest.mark.skipif("FABULA_SOAK" not in os.environ, reason="thirteen runs of two ranks: `make soak`"),
]

STEPS, EVERY = 4, 2
PACKED = {"packing": True, "maxLength": 250}
WIDE: dict[str, Any] = {"lora": {"precision": "fp32"}}
CASES: dict[str, dict[str, Any]] = {
    "zero-3": {},
    "zero-2": {"deepspeed": {"stage": 2}},
    "zero-1": {"deepspeed": {"stage": 1}},
    "packed": {"training": PACKED},
    "packed-zero-2": {"training": PACKED, "deepspeed": {"stage": 2}},
    "on-the-cpu": {"deepspeed": {"offload": "all"}},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, training_libraries: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("fp32-update")
    build_model(folder / "root" / "model")
    write_dataset(folder / "root" / "dataset", samples(9, images=(1, 3, 2)), samples(2, seed=1))
    world = World(folder, training_libraries)
    yield world
    world.close()


def run(world: World, name: str, **spec: Any) -> dict[str, Any]:
    """Its adapter's tensors, without what peft says before the names."""
    from safetensors.torch import load_file

    training = {"precision": "bf16", "maxSteps": STEPS} | spec.pop("training", {})
    code, _ = world.run(name, checkpoints={"everySteps": EVERY}, training=training, **spec)
    assert code == 0, world.log(name)
    found: dict[str, Any] = load_file(world.output(name) / "adapter_model.safetensors")
    return found


def optimizers(world: World, name: str) -> dict[str, Any]:
    """The fp32 weights of the optimizer after the last step, flat, by the names that the adapter gives them."""
    import torch
    from safetensors.torch import load_file

    cuts: dict[str, list[tuple[int, Any]]] = {}
    for file in (world.output(name) / f"checkpoints/step-{STEPS:06d}").rglob("rank-*.safetensors"):
        for entry, tensor in load_file(file).items():
            place, _, kind = entry.rpartition("/")
            if kind == "fp32":
                weight, _, start = place.rpartition("@")
                cuts.setdefault(weight.replace(".default.", "."), []).append((int(start), tensor))
    return {weight: torch.cat([cut for _, cut in sorted(found)]) for weight, found in cuts.items()}


@pytest.mark.parametrize("case", CASES)
def test_what_is_saved_is_what_the_optimizer_has_and_a_run_goes_on_to_the_bit(world: World, case: str) -> None:
    import torch

    found = run(world, case, **WIDE, **CASES[case])
    held = optimizers(world, case)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert found.keys() == held.keys()
    assert all(torch.equal(tensor.flatten(), held[name]) for name, tensor in found.items())

    again = f"{case}-again"
    folder = f"checkpoints/step-{EVERY:06d}"
    shutil.copytree(world.output(case) / folder, world.output(again) / folder)
    run(world, again, **WIDE, **CASES[case])
    assert f"going on from the checkpoint of step {EVERY}" in world.log(again)
    for file in ("adapter_model.safetensors", "loss.jsonl"):
        assert (world.output(again) / file).read_bytes() == (world.output(case) / file).read_bytes()


def test_it_computes_as_one_in_bf16_but_for_what_that_rounds_away(world: World) -> None:
    import torch

    usual = run(world, "bf16")
    assert {tensor.dtype for tensor in usual.values()} == {torch.bfloat16}
    losses = {case: [row["loss"] for row in world.curve(case)] for case in ("bf16", "zero-3", "zero-2")}
    assert losses["zero-3"] == pytest.approx(losses["bf16"], rel=2e-2)
    assert losses["zero-2"] == pytest.approx(losses["zero-3"], rel=1e-3)
