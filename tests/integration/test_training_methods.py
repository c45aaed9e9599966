"""Other methods than LoRA on a whole base: trained in full, in 4 bits, and with state in CPU memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.stage_context import stage_context
from tests.support.training_dataset import build_model, samples, write_dataset
from tests.support.training_world import World, wait_for
from tests.support.vist_folder import write_vist

from fabula_api.artifact import MANIFEST, Manifest
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import local_path

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.invariant]

STEPS, EVERY = 6, 3
PIXELS = {"minPixels": 1024, "maxPixels": 8192}
# What falls otherwise with other ranks is off, so that curves can be compared.
TRAINING = {"maxSteps": STEPS, "neftuneNoiseAlpha": 0, "learningRate": 2e-3}
# Packed, the eight samples are four sequences, and a step sees all of them.
FULL: dict[str, Any] = {
    "training": TRAINING | {"method": "full", "packing": True, "maxLength": 250},
    "checkpoints": {"everySteps": EVERY},
}
ONE_RANK = {"gpusPerNode": 1, "device": "cpu"}
NF4: dict[str, Any] = {
    "training": TRAINING | {"learningRate": 0.01, "gradientAccumulationSteps": 4},
    "checkpoints": {"everySteps": EVERY},
    "lora": {"dropout": 0.0, "quantization": "nf4"},
    "topology": ONE_RANK,
    "deepspeed": {"stage": 2},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, quantized_libraries: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("methods")
    build_model(folder / "root" / "model")
    write_dataset(folder / "root" / "dataset", samples(8, images=(1, 2)), samples(1, seed=1))
    world = World(folder, quantized_libraries)
    yield world
    world.close()


def run(world: World, name: str, attempt: int = 1, **spec: Any) -> Manifest:
    code, result = world.run(name, attempt, **spec)
    assert code == 0, world.log(name, attempt)
    assert result.artifact is not None
    return manifest_of(world, name)


def manifest_of(world: World, name: str) -> Manifest:
    return Manifest.model_validate_json((world.output(name) / MANIFEST).read_text())


def give_checkpoint(world: World, giver: str, taker: str) -> None:
    """Have a run go on where another was after the first checkpoint."""
    folder = f"checkpoints/step-{EVERY:06d}"
    shutil.copytree(world.output(giver) / folder, world.output(taker) / folder)


def assert_same_curve(world: World, name: str, other: str) -> None:
    mine, theirs = world.curve(name), world.curve(other)
    assert [row["step"] for row in mine] == list(range(1, STEPS + 1))
    for row, expected in zip(mine, theirs, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=2e-5)
        assert row["gradNorm"] == pytest.approx(expected["gradNorm"], rel=1e-4)
        assert row["learningRate"] == expected["learningRate"]


@pytest.fixture(scope="module")
def full(world: World) -> Manifest:
    """A full fine-tuning under ZeRO-3."""
    return run(world, "full", **FULL)


@pytest.fixture(scope="module")
def quantized(world: World) -> Manifest:
    """An adapter trained on a 4-bit base under ZeRO-2, by one rank."""
    return run(world, "nf4", **NF4)


def test_full_fine_tuning_makes_a_whole_model(world: World, full: Manifest) -> None:
    from safetensors.torch import load_file

    assert full.kind == "model"
    assert full.details["method"] == "full"
    assert "lora" not in full.details
    folder, base = world.output("full"), world.folder / "root" / "model"
    made, had = load_file(folder / "model.safetensors"), load_file(base / "model.safetensors")
    assert made.keys() == had.keys()
    frozen = {name for name in made if bool((made[name] == had[name]).all())}
    assert frozen == {name for name in made if name.startswith("model.visual.")}
    assert (folder / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    config, plain = (json.loads((where / "config.json").read_text()) for where in (folder, base))
    assert {key: value for key, value in config.items() if key != "fabula_weights"} == plain
    curve = world.curve("full")
    assert curve[-1]["loss"] < curve[0]["loss"] - 1
    # A checkpoint holds every trained weight once, cut by rank, and no second copy in half precision.
    parts = {part.path.rpartition("/")[2]: part.size for part in world.checkpoints("full")[EVERY].parts}
    assert {"rank-00000-00000.safetensors", "rank-00001-00000.safetensors", "scheduler.json"} <= parts.keys()
    trained = sum(tensor.numel() for name, tensor in made.items() if name not in frozen)
    assert sum(size for name, size in parts.items() if name.startswith("rank-")) == pytest.approx(12 * trained, rel=0.1)


def test_the_first_loss_is_the_base_models_on_the_answers(world: World, full: Manifest) -> None:
    import torch

    from fabula_api.shared_spec import PixelWindow
    from fabula_workloads.models.family import IGNORED
    from fabula_workloads.models.loading import load_base
    from fabula_workloads.models.processor import load_processor
    from fabula_workloads.training.samples.dataset import read_samples
    from fabula_workloads.training.samples.encode import Encoder

    root = world.folder / "root"
    encoder = Encoder(load_processor(root / "model", PixelWindow.model_validate(PIXELS)), root / "dataset")
    model = load_base(root / "model", device="cpu", precision="fp32")
    losses = []
    for sample in read_samples(root / "dataset", "train"):
        encoded = encoder.encode(sample)
        labels = encoded.pop("labels")[1:]
        pictures = {name: encoded.pop(name) for name in ("pixel_values", "image_grid_thw")}
        with torch.inference_mode():
            logits = model(**{name: value[None] for name, value in encoded.items()}, **pictures).logits[0, :-1]
        answer = labels != IGNORED
        losses.append(torch.nn.functional.cross_entropy(logits[answer], labels[answer], reduction="none"))
    assert world.curve("full")[0]["loss"] == pytest.approx(float(torch.cat(losses).mean()), rel=1e-5)


def test_a_killed_full_run_ends_as_an_undisturbed_one(world: World, full: Manifest) -> None:
    process = world.start("killed", **FULL)
    wait_for(lambda: EVERY in world.checkpoints("killed"), process)
    for rank in world.ranks().values():
        os.kill(rank, signal.SIGKILL)
    code, _ = world.finish("killed", process)
    assert code == 1
    assert run(world, "killed", 2, **FULL).digest == full.digest
    assert f"going on from the checkpoint of step {EVERY}" in world.log("killed", 2)


def test_a_full_run_goes_on_with_one_rank_under_zero_2_with_its_optimizer_on_the_cpu(
    world: World, full: Manifest
) -> None:
    give_checkpoint(world, "full", "full-one")
    training = FULL["training"] | {"gradientAccumulationSteps": 4}
    offload = {"stage": 2, "offload": "optimizer"}
    run(world, "full-one", **FULL | {"training": training}, topology=ONE_RANK, deepspeed=offload)
    assert_same_curve(world, "full-one", "full")


def test_a_4_bit_run_goes_on_to_the_bit(world: World, quantized: Manifest) -> None:
    assert quantized.kind == "adapter"
    assert quantized.details["quantization"] == "nf4"
    curve = world.curve("nf4")
    assert curve[-1]["loss"] < curve[0]["loss"] - 1
    give_checkpoint(world, "nf4", "nf4-again")
    assert run(world, "nf4-again", **NF4).digest == quantized.digest


def test_a_4_bit_run_goes_on_with_two_ranks_under_zero_3_with_all_of_it_on_the_cpu(
    world: World, quantized: Manifest
) -> None:
    give_checkpoint(world, "nf4", "nf4-offloaded")
    two = {
        "training": NF4["training"] | {"gradientAccumulationSteps": 2},
        "topology": {"gpusPerNode": 2, "device": "cpu"},
        "deepspeed": {"stage": 3, "offload": "all"},
    }
    run(world, "nf4-offloaded", **NF4 | two)
    assert_same_curve(world, "nf4-offloaded", "nf4")


def test_a_checkpoint_of_another_method_is_refused(world: World, quantized: Manifest) -> None:
    give_checkpoint(world, "nf4", "plain")
    code, result = world.run("plain", **NF4 | {"lora": {"dropout": 0.0}})
    assert code == 65
    assert result.failure is not None
    assert "was made with quantization nf4, but the run's is none" in result.failure.message


def test_answers_come_from_what_was_tuned(world: World, full: Manifest, quantized: Manifest) -> None:
    from fabula_workloads.stages import infer, select

    root = world.folder / "root"
    write_vist(root / "vist", 1)

    def spec(**tuned: Any) -> dict[str, Any]:
        arm = {"name": "tuned", "model": {"uri": "model"}, "gpusPerShard": 0, **tuned}
        samples_, generation = {"uri": "vist", "count": 1}, {"maxNewTokens": 12, "temperature": 0}
        return {"samples": samples_, "arms": [arm], "generation": generation, "pixels": PIXELS, "prompt": "Tell it."}

    def answer(output: str, adapter: Path | None = None, **arm: Any) -> str:
        inputs = {"select": "select"}
        if adapter:
            arm["adapter"] = {"uri": f"file://{adapter}"}
            inputs["adapter"] = f"file://{adapter}"
        infer.run(stage_context(root, "EvalRun", "infer", spec(**arm), output, inputs, arm="tuned"))
        ((_, outcome),) = Ledger(open_store(f"file://{root}/{output}")).items()
        return str(outcome["text"])

    chosen = select.run(stage_context(root, "EvalRun", "select", spec(), "selected"))
    local_path(chosen.uri or "").rename(root / "select")
    base = answer("by-base")
    tuned = {answer("by-full", world.output("full")), answer("by-nf4", world.output("nf4"))}
    # Holding the base otherwise answers otherwise too, so an adapter has to meet its base as it was in training.
    assert len({base, answer("by-base-in-nf4", quantization="nf4"), *tuned}) == 4
    with pytest.raises(ConfigInvalid, match=r"quantization nf4 of its base, but it is asked for in none"):
        answer("refused", world.output("nf4"), quantization="none")
    with pytest.raises(InputInvalid, match="is an artifact of kind dataset, not adapter or model"):
        answer("refused", root / "dataset")
