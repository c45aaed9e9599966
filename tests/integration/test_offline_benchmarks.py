"""MME, MVBench and Video-MME by lmms-eval: its own questions and scores, asked of a server that has a watcher's update.

`make test-offline-benchmarks` makes both environments and runs this file; without them it is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.drawn_benchmarks import TASKS
from tests.support.vllm_environment import CHECKOUT, serving, vllm_folder

VARIABLE = "FABULA_LMMS"
KEY = "s3cret"
lmms = Path(os.environ.get(VARIABLE) or "/nowhere")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        vllm_folder() is None or not (lmms / "bin/python").exists(),
        reason=f"no vLLM, or no lmms-eval: `make test-offline-benchmarks`, or FABULA_VLLM and {VARIABLE}",
    ),
]


def ran(*arguments: str | Path, **variables: str) -> str:
    """What a command of lmms-eval's environment printed."""
    ended = subprocess.run(
        [lmms / "bin/python", *arguments], env=os.environ | variables, capture_output=True, text=True, check=False,
        timeout=1800,
    )  # fmt: skip
    assert ended.returncode == 0, f"{ended.stdout[-3000:]}\n{ended.stderr[-5000:]}"
    return ended.stdout


def write_watcher(model: Path, folder: Path) -> None:
    """A stage as training saves it, with an update that changes what its base says."""
    import torch

    from fabula_api.fine_tune_run import Lora
    from fabula_api.recipes.visual_instruction.tune import VisualInstructionTune
    from fabula_api.shared_spec import PixelWindow
    from fabula_workloads.models.loading import load_for_training
    from fabula_workloads.recipes.visual_instruction.training.saving import save
    from fabula_workloads.recipes.visual_instruction.watcher import files
    from fabula_workloads.recipes.visual_instruction.watcher.building import add_update, watcher_of, words_of
    from fabula_workloads.recipes.visual_instruction.watcher.families import watcher_family

    torch.manual_seed(0)
    tune = VisualInstructionTune.model_validate({"stage": "streaming"})
    family = watcher_family("qwen3_vl")(model, PixelWindow(min_pixels=1024, max_pixels=12544), 112, 1)
    lora = Lora(rank=4, alpha=8, dropout=0, target_modules=["q_proj", "v_proj", "down_proj"])
    words, vocabulary = words_of(model)
    language = add_update(load_for_training(model, precision="fp32"), lora, family, "tiny")
    watcher = watcher_of(language, family, tune, words, hears=False)
    for name, value in watcher.named_parameters():
        if ".lora_B" in name:
            torch.nn.init.normal_(value, std=0.3)
    config = files.WatcherConfig(
        tune=tune, family="qwen3_vl", vocabulary=vocabulary, side=112, hears=False, decides=True, stages=("streaming",)
    )
    folder.mkdir()
    save(watcher, config, [], folder, writes=True, gathered=lambda: None)


def test_a_served_watcher_is_asked_the_offline_benchmarks(tmp_path: Path) -> None:
    from fabula_quickstart.tiny import qwen3_vl
    from fabula_quickstart.watching import corpus

    qwen3_vl.build(tmp_path / "model", corpus(), head_dim=64)
    write_watcher(tmp_path / "model", tmp_path / "watcher")
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    ran(CHECKOUT / "tests/support/drawn_benchmarks.py", drawn, PYTHONPATH=str(CHECKOUT))
    arguments = [
        f"--model={tmp_path / 'model'}", "--served-model-name=base", "--enable-lora", "--max-lora-rank=16",
        f"--lora-modules=watcher={tmp_path / 'watcher'}", "--max-model-len=4096",
        '--limit-mm-per-prompt={"image": 8, "video": 0}',
        '--mm-processor-kwargs={"size": {"shortest_edge": 1024, "longest_edge": 12544}}',
    ]  # fmt: skip
    with serving(arguments, tmp_path, KEY) as url:
        for served in ("base", "watcher"):
            asked = f"model_version={served},base_url={url}/v1,timeout=600,max_frames_num=4,num_concurrent=2"
            ran(
                "-m", "lmms_eval", "--model", "openai",
                "--model_args", asked,
                "--include_path", drawn / "tasks", "--tasks", ",".join(TASKS), "--batch_size", "1",
                "--output_path", tmp_path / "out", "--log_samples",
                HF_HOME=str(drawn / "hf"), HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", OPENAI_API_KEY=KEY,
            )  # fmt: skip
    said = {served: answers(tmp_path / "out" / served) for served in ("base", "watcher")}
    for served, found in said.items():
        assert {name: len(texts) for name, texts in found.items()} == {
            "drawn_mme": 6, "drawn_mvbench": 3, "drawn_videomme": 3,
        }, served  # fmt: skip
        assert not any("REQUEST_FAILED" in text for texts in found.values() for text in texts), found
        (results,) = (tmp_path / "out" / served).glob("*_results.json")
        scores = json.loads(results.read_text())["results"]
        assert {name: any("none" in key for key in scores[name]) for name in TASKS} == dict.fromkeys(TASKS, True)
    assert said["base"] != said["watcher"], "the update was served"


def answers(folder: Path) -> dict[str, list[str]]:
    """What was answered, by task."""
    found: dict[str, list[str]] = {}
    for file in folder.glob("*_samples_*.jsonl"):
        name = file.stem.partition("_samples_")[2]
        rows: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
        found[name] = [str(row["filtered_resps"]) for row in rows]
    return found
