"""The kinds of models that training takes: what their files tell without torch is what torch finds in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support.training_dataset import build_model, samples, write_dataset

from fabula_api.fine_tune_run import Lora
from fabula_api.model_families.facts import DENSE, MIXTURE
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.models.family import trainable
from fabula_workloads.models.loading import load_for_training
from fabula_workloads.models.processor import load_processor
from fabula_workloads.models.qwen3_vl.batches import Collator
from fabula_workloads.training.model.model_files import read_model
from fabula_workloads.training.model.trained_weights import add_lora, linear_layers
from fabula_workloads.training.samples.dataset import read_samples
from fabula_workloads.training.samples.encode import Encoder

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each kind."""
    root = tmp_path_factory.mktemp("models")
    dense = build_model(root / "dense")
    mixture = root / "mixture"
    shutil.copytree(dense, mixture)
    build_mixture(mixture, json.loads((dense / "config.json").read_text()))
    return {"qwen3_vl": dense, "qwen3_vl_moe": mixture}


def build_mixture(folder: Path, dense: dict[str, Any]) -> None:
    """A mixture of four experts with the dense model's shapes and tokens, in place of it."""
    import torch
    from transformers import Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration

    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "decoder_sparse_step": 1}
    parts = {
        name: {key: value for key, value in (dense[name] | more).items() if key != "model_type"}
        for name, more in (("text_config", experts), ("vision_config", {}))
    }
    tokens = {name: value for name, value in dense.items() if name.endswith("_token_id")}
    torch.manual_seed(0)
    config = Qwen3VLMoeConfig(**parts, **tokens, tie_word_embeddings=False)
    Qwen3VLMoeForConditionalGeneration(config).save_pretrained(folder)


def test_these_are_all_kinds(folders: dict[str, Path]) -> None:
    assert tuple(folders) == trainable()


@pytest.mark.parametrize(("kind", "known"), [("qwen3_vl", DENSE), ("qwen3_vl_moe", MIXTURE)])
def test_files_facts_and_torch_name_the_same_linear_layers(
    folders: dict[str, Path], kind: str, known: frozenset[str]
) -> None:
    files = read_model(folders[kind], "m")
    assert files.model_type == kind
    assert set(files.linear_layers) == linear_layers(load_for_training(folders[kind], precision="fp32")) == known


def test_experts_are_trained_by_what_attends(folders: dict[str, Path], tmp_path: Path) -> None:
    """Padded samples of a batch do not touch each other, and the gradient reaches the update."""
    import torch

    folder = folders["qwen3_vl_moe"]
    write_dataset(tmp_path, samples(3, images=(1, 3, 2)))
    encoder = Encoder(load_processor(folder, PixelWindow(min_pixels=1024, max_pixels=8192)), tmp_path)
    rows = [[encoder.encode(sample)] for sample in read_samples(tmp_path, "train")]
    together, alone = (Collator(encoder.pad_token_id)(chosen) for chosen in (rows, rows[:1]))
    for batch in (together, alone):
        batch.pop("measures")
    model = add_lora(load_for_training(folder, precision="fp32"), Lora(target_modules=["q_proj", "o_proj"]), "m")
    model(**together).loss.backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert len(trained) == 2 * 2 * 2
    assert all(parameter.grad is not None for parameter in trained)
    model.eval()
    with torch.no_grad():
        length = alone["input_ids"].shape[1]
        torch.testing.assert_close(model(**together).logits[0, :length], model(**alone).logits[0], rtol=1e-4, atol=1e-4)
