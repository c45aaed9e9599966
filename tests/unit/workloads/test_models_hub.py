"""Copies of Hub models: only the files that are loaded, each downloaded once, whoever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.hub import FILES, SHA, WANTED, Hub, running_hub
from tests.support.patience import SECONDS, until

from fabula_api.externals import COMMIT
from fabula_workloads.models.hub_files import needed_files

PIPELINE = {
    "model_index.json", "LICENSE.md", "transformer/config.json",
    "transformer/diffusion_pytorch_model-00001-of-00002.safetensors",
    "transformer/diffusion_pytorch_model-00002-of-00002.safetensors",
    "transformer/diffusion_pytorch_model.safetensors.index.json", "text_encoder/config.json",
    "text_encoder/model.safetensors", "tokenizer/vocab.json", "tokenizer/merges.txt",
    "tokenizer_3/spiece.model", "tokenizer_3/tokenizer_config.json",
    "scheduler/scheduler_config.json",
}  # fmt: skip


@pytest.mark.parametrize(
    ("needed", "rest"),
    [
        (
            {"config.json", "tokenizer.json", "merges.txt", "chat_template.jinja", "model.safetensors.index.json",
             "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"},
            {"README.md", ".gitattributes", "consolidated.safetensors", "pytorch_model-00001-of-00002.bin",
             "original/weights.safetensors", "original/params.json", "model.gguf", "tf_model.h5"},
        ),
        ({"config.json", "pytorch_model.bin", "vocab.json"}, {"tf_model.h5", "flax_model.msgpack", "model.onnx"}),
        (
            PIPELINE,
            {"sd3.5_large.safetensors", "text_encoders/t5xxl_fp16.safetensors", "text_encoders/README.md", "demo.png",
             "text_encoder/model.fp16.safetensors", "text_encoder/model.safetensors.index.fp16.json",
             "text_encoder/pytorch_model.bin"},
        ),
        ({"config.json", "model.safetensors"}, {"training_args.bin", "checkpoint-5/model.safetensors"}),
    ],
    ids=["a model and what else its repository holds", "pickles alone", "a pipeline", "one file"],
)  # fmt: skip
def test_only_what_is_loaded_is_fetched(needed: set[str], rest: set[str]) -> None:
    assert set(needed_files(needed | rest)) == needed


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    with running_hub() as (found, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield found


FETCH = f"""
import sys
from pathlib import Path
from fabula_api.shared_spec import ModelSource
from fabula_workloads.models.hub import from_hub, models_folder
print(from_hub(ModelSource(name="some/model"), "model", models_folder(Path("unused")), "{COMMIT}{SHA}"))
"""


def start(cache: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"FABULA_MODEL_CACHE": str(cache), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.Popen([sys.executable, "-c", FETCH], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_eight_that_share_a_cache_and_die_in_turn_fetch_each_file_once(hub: type[Hub], tmp_path: Path) -> None:
    hub.slow = True
    large = [name for name in FILES if len(FILES[name]) > 1_000_000]
    group = [start(tmp_path) for _ in range(8)]

    def under_way() -> bool:
        assert all(process.poll() is None for process in group), "one ended before it was killed"
        return all(hub.begun[name] for name in large)

    until(under_way, "downloads under way")
    for dead in group[:4]:
        dead.send_signal(signal.SIGKILL)
        dead.wait(SECONDS)
    # Whoever held a file and lives still waits for its second half; what a dead one held goes on in another's hands.
    hub.hold.set()
    places = {process.communicate(timeout=SECONDS)[0].strip() for process in group[4:]}
    (place,) = places
    for name in WANTED:
        assert (Path(place) / name).read_bytes() == FILES[name]
    assert not (Path(place) / "README.md").exists()
    assert {name: hub.sent[name] for name in large} == dict.fromkeys(large, 1)
    asked = hub.begun.total()
    last = start(tmp_path)
    assert last.communicate(timeout=SECONDS)[0].strip() == place
    assert hub.begun.total() == asked, "a copy that is whole asks the Hub nothing"


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    hub: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
import shutil
from fabula_workloads.runtime.failures import TryAgain
shutil.disk_usage = lambda _: shutil._ntuple_diskusage(10_000_000, 9_000_000, 1_000_000)
try:
    exec({FETCH!r})
except TryAgain as error:
    print(error.reason, error)
"""
    environment = os.environ | {"FABULA_MODEL_CACHE": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert "NoSpace model: some/model needs 0.0 GB more" in ended.stdout, ended.stderr
    assert not hub.begun


def test_copies_of_artifacts_that_nobody_uses_make_room_for_a_model(hub: type[Hub], tmp_path: Path) -> None:
    copies = tmp_path / "artifacts"
    (copies / "unused").mkdir(parents=True)
    (copies / "unused.kept").touch()
    code = f"""
import shutil
from pathlib import Path
shutil.disk_usage = lambda _: shutil._ntuple_diskusage(90, 0, 1 if Path("{copies}/unused").exists() else 90_000_000)
{FETCH}"""
    environment = os.environ | {"FABULA_MODEL_CACHE": str(tmp_path), "FABULA_ARTIFACT_CACHE": str(copies)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert (Path(ended.stdout.strip()) / "config.json").is_file(), ended.stderr
    assert not (copies / "unused").exists()


def warmed(folder: Path, *models: str, **variables: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """`fabula-models` as its Job runs it, and its last word."""
    word = folder / "last-word"
    environment = os.environ | {"FABULA_TERMINATION_LOG": str(word), "HF_HUB_DISABLE_PROGRESS_BARS": "1", **variables}
    command = [sys.executable, "-m", "fabula_workloads.models.warm", *models]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    return done, json.loads(word.read_text())


def test_a_cache_is_filled_before_a_run_asks(hub: type[Hub], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    done, word = warmed(tmp_path, "some/model", "no/such", FABULA_MODEL_CACHE=str(cache))
    assert done.returncode == 65, done.stderr
    assert word["failure"]["reason"] == "InputInvalid"
    assert "no/such" in word["failure"]["message"]
    # What could be had is there, and the next pod asks for nothing.
    asked = hub.begun.total()
    assert f"some/model is whole: commit {SHA}, 0.01 GB" in done.stdout
    process = start(cache)
    place = Path(process.communicate(timeout=SECONDS)[0].strip())
    assert {file.name for file in place.iterdir()} == WANTED
    assert hub.begun.total() == asked
    again, word = warmed(tmp_path, f"some/model@{SHA}", FABULA_MODEL_CACHE=str(cache), HF_ENDPOINT="http://127.0.0.1:9")
    assert (again.returncode, word["outcome"]) == (0, "Succeeded"), again.stderr


@pytest.mark.parametrize("variables", [{"FABULA_MODEL_CACHE": ""}, {"FABULA_MODEL_CACHE": "cache"}])
def test_what_cannot_be_filled_is_said(variables: dict[str, str], tmp_path: Path) -> None:
    done, word = warmed(tmp_path, "Qwen3", **variables)
    assert done.returncode == 64
    assert word["failure"]["message"].startswith(("Qwen3 is no model of the Hub", "FABULA_MODEL_CACHE names no folder"))
