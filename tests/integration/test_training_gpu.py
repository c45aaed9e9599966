"""The worker on a GPU, with `--device cuda`: every method trains there, goes on there, and answers there.

One rank under NCCL, for one GPU is what a borrowed machine has. What needs no GPU is proved in the other files.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.stage_context import stage_context
from tests.support.training_dataset import build_model, samples, write_dataset
from tests.support.training_world import World
from tests.support.vist_folder import write_vist

from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import local_path

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.invariant]

STEPS, EVERY = 6, 3
PIXELS = {"minPixels": 1024, "maxPixels": 8192}
TRAINING = {"precision": "bf16", "learningRate": 0.01, "maxSteps": STEPS, "gradientAccumulationSteps": 4}
PACKED = {"packing": True, "maxLength": 250, "gradientAccumulationSteps": 2}
METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "packed": {"training": PACKED | {"deterministic": True}},
    "zero-2": {"deepspeed": {"stage": 2}},
    "full": {"training": PACKED | {"method": "full", "learningRate": 2e-3, "deterministic": True}},
    "nf4": {"lora": {"quantization": "nf4"}, "deepspeed": {"stage": 2}},
    "offloaded": {"deepspeed": {"offload": "all"}},
}


@pytest.fixture(scope="module")
def world(device_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if device_name == "cpu":
        pytest.skip("needs --device cuda")
    folder = tmp_path_factory.mktemp("gpu")
    build_model(folder / "root" / "model")
    write_dataset(folder / "root" / "dataset", samples(8, images=(1, 2)), samples(1, seed=1))
    world = World(folder)
    yield world
    world.close()


def run(world: World, name: str, **spec: Any) -> Any:
    given = {"topology": {"gpusPerNode": 1, "device": "cuda"}, "checkpoints": {"everySteps": EVERY}, "pixels": PIXELS}
    code, result = world.run(name, **given | spec | {"training": TRAINING | spec.get("training", {})})
    assert code == 0, world.log(name)
    return result


@pytest.mark.parametrize("method", METHODS)
def test_a_run_on_a_gpu(world: World, method: str) -> None:
    spec = METHODS[method]
    result = run(world, method, **spec)
    curve = world.curve(method)
    assert [row["step"] for row in curve] == list(range(1, STEPS + 1))
    assert curve[-1]["loss"] < curve[0]["loss"] - 0.5
    # Told by CUDA's allocator; a rank on a CPU would tell hundreds of MiB of its process.
    assert 0 < result.metrics["gpuMemory"] < 0.5
    assert result.metrics["tokensPerSecondPerGpu"] > 0
    if method == "packed":
        assert "attention fabula_segments" in world.log(method)
    if not spec.get("training", {}).get("deterministic"):
        return
    name, folder = f"{method}-again", f"checkpoints/step-{EVERY:06d}"
    shutil.copytree(world.output(method) / folder, world.output(name) / folder)
    again = run(world, name, **spec)
    assert f"going on from the checkpoint of step {EVERY}" in world.log(name)
    assert again.artifact.digest == result.artifact.digest


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_answers_of_a_gpu_are_those_of_a_seed_whatever_is_beside_them(
    world: World, quantization: str, device: str
) -> None:
    from fabula_workloads.stages import infer, select

    root = world.folder / "root"
    adapter = f"tuned-{quantization}"
    run(world, adapter, lora={"quantization": quantization}, deepspeed={"stage": 2})
    if not (root / "select").exists():
        write_vist(root / "vist", 4)
        chosen = select.run(stage_context(root, "EvalRun", "select", spec(), "selected"))
        local_path(chosen.uri or "").rename(root / "select")

    def answers(output: str, **given: Any) -> dict[str, str]:
        inputs = {"select": "select", "adapter": world.output(adapter).as_uri()}
        infer.run(
            stage_context(root, "EvalRun", "infer", spec(world.output(adapter), **given), output, inputs, arm="a")
        )
        return {key: outcome["text"] for key, outcome in Ledger(open_store(f"file://{root}/{output}")).items()}

    alone = answers(f"alone-{quantization}", batchSize=1)
    assert len(alone) == 8
    assert len(set(alone.values())) > 4
    assert answers(f"again-{quantization}", batchSize=1) == alone


def spec(adapter: Path | None = None, **generation: Any) -> dict[str, Any]:
    arm: dict[str, Any] = {"name": "a", "model": {"uri": "model"}, "gpusPerShard": 1}
    if adapter:
        arm["adapter"] = {"uri": adapter.as_uri()}
    return {
        "samples": {"uri": "vist", "count": 4}, "arms": [arm], "pixels": PIXELS, "prompt": "Tell it.",
        "generation": {"maxNewTokens": 24, "seeds": [0, 1], **generation},
    }  # fmt: skip
