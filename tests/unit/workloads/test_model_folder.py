"""Where a model's files are found, when a run made the model: its parts, and nothing else of the run's folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.support.stage_context import stage_context

from fabula_api.shared_spec import ModelSource
from fabula_workloads.models.model_folder import model_config_digest, model_folder
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.store import Store

CONFIG = b'{"model_type": "qwen3_vl"}'


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    spec = {"dataset": {"uri": "d"}, "model": {"uri": "m"}}
    return stage_context(tmp_path, "FineTuneRun", "train", spec, "out", {"dataset": "d"})


def test_a_tuned_model_comes_without_its_runs_checkpoints(context: StageContext, store: Store) -> None:
    parts = [add_part(store, "config.json", CONFIG), add_part(store, "model.safetensors", b"weights")]
    commit(store, kind="model", parts=parts)
    store.write("checkpoints/step-000001/optimizer/rank-00000-00000.safetensors", b"state")
    folder = model_folder(context, ModelSource(uri=store.uri), "model")
    assert (folder / "config.json").read_bytes() == CONFIG
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    if store.uri.startswith("s3://"):
        assert not (folder / "checkpoints").exists()
    assert model_folder(context, ModelSource(uri=store.uri), "model") == folder


def test_a_model_is_known_by_its_config(context: StageContext, store: Store) -> None:
    store.write("config.json", CONFIG)
    store.write("model.safetensors", b"weights")
    expected = "sha256:" + hashlib.sha256(CONFIG).hexdigest()
    assert model_config_digest(context, ModelSource(uri=store.uri), "model") == expected
    assert (model_folder(context, ModelSource(uri=store.uri), "model") / "model.safetensors").exists()
    nowhere = ModelSource(uri=f"{store.uri}/nowhere")
    for look in (model_config_digest, model_folder):
        with pytest.raises(InputInvalid, match=r"arms\[a\]\.model\.uri: there is no model folder at .*nowhere"):
            look(context, nowhere, "arms[a].model")
