"""Recomputation in the backward pass: which layers, when within one, and that nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import copies
from tests.support.training_dataset import build_model, samples, write_dataset

from fabula_api.fine_tune_run import FineTuneRunSpec, Lora
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.training.messages.job import TrainingJob

pytestmark = [pytest.mark.torch, pytest.mark.invariant]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def batch(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from fabula_workloads.models.processor import load_processor
    from fabula_workloads.models.qwen3_vl.batches import Collator
    from fabula_workloads.training.samples.dataset import read_samples
    from fabula_workloads.training.samples.encode import Encoder

    folder = tmp_path_factory.mktemp("dataset")
    write_dataset(folder, samples(3, images=(1, 3, 2)))
    encoder = Encoder(load_processor(model_folder, PixelWindow(min_pixels=1024, max_pixels=8192)), folder)
    found = Collator(0)([[encoder.encode(sample)] for sample in read_samples(folder, "train")])
    return {name: value for name, value in found.items() if name != "measures"}


def load(
    model_folder: Path,
    every: int | None,
    *,
    keep: int = 0,
    method: str = "lora",
    dropout: float = 0.1,
    device: str = "cpu",
) -> Any:
    """The tiny model as a rank trains it, with LoRA factors that matter; `every` is `training.recomputeEvery`, and
    `keep` is `training.keepLayers`."""
    import torch

    from fabula_workloads.models.loading import load_for_training
    from fabula_workloads.training.model.recompute import recompute_layers
    from fabula_workloads.training.model.trained_weights import add_lora, train_language

    base = load_for_training(model_folder, precision="fp32")
    torch.manual_seed(7)
    model = (train_language(base) if method == "full" else add_lora(base, Lora(dropout=dropout), "m")).train()
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0, 0.05)
    if every:
        recompute_layers(base, every, keep)
    return model.to(device)


def loss_and_gradients(model: Any, batch: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    import torch

    torch.manual_seed(11)  # of dropout
    loss = model(**{name: value.to(model.device) for name, value in batch.items()}).loss
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize(("every", "keep"), [(1, 0), (2, 0), (1, 1)])
def test_recomputing_some_layers_changes_no_bit(
    model_folder: Path,
    batch: dict[str, Any],
    every: int,
    keep: int,
    method: str,
    device: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    if device == "cuda":  # two passes alike differ there: attention and embeddings add gradients as they come
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        expected, gradients = loss_and_gradients(load(model_folder, None, method=method, device=device), batch)
        model = load(model_folder, every, keep=keep, method=method, device=device)
        loss, found = loss_and_gradients(model, batch)
    finally:
        torch.use_deterministic_algorithms(False)
    layers = model.get_decoder().layers
    assert len(layers) > 1
    assert sum(layer.gradient_checkpointing for layer in layers) == len(layers) // every - keep
    assert loss == expected
    assert found.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert torch.equal(found[name], gradient), name


def test_a_layer_is_computed_anew_before_any_part_of_it_is_passed_backwards(
    model_folder: Path, batch: dict[str, Any], device: str
) -> None:
    # What ZeRO-3 gathers for the recomputation must not be let go with a part of the layer.
    model = load(model_folder, 1, device=device)
    seen: list[tuple[str, int, str]] = []
    for number, layer in enumerate(model.get_decoder().layers):
        for name, part in layer.named_modules():
            if name.endswith("_proj"):
                part.register_forward_hook(lambda *_, at=(number, name): seen.append(("forward", *at)))
                part.register_full_backward_pre_hook(lambda *_, at=(number, name): seen.append(("backward", *at)))
    loss_and_gradients(model, batch)
    layers = len(model.get_decoder().layers)
    parts = len({name for _, _, name in seen})
    assert parts == 7
    for number in range(layers):
        order = [what for what, at, _ in seen if at == number]
        assert order == ["forward"] * parts * 2 + ["backward"] * parts


@pytest.mark.parametrize("mixed", [(), ("mixed",)], ids=["one format", "an update in fp32 on a base in bf16"])
def test_zero_3_gathers_frozen_matrices_twice_a_pass_and_not_to_save_an_adapter(
    model_folder: Path, device_name: str, mixed: tuple[str, ...]
) -> None:
    from transformers import AutoConfig

    # A copy of a process without a GPU has none.
    asked = ("tests.support.gathered_weights", str(model_folder), device_name, *mixed)
    ended = copies.run(*asked, anew=device_name != "cpu")
    assert ended.returncode == 0, ended.stderr[-2000:]
    counted = json.loads(ended.stdout.splitlines()[-1])
    gathered = counted["frozen"]
    layers = AutoConfig.from_pretrained(model_folder).text_config.num_hidden_layers
    assert len(gathered) == 7 * layers
    assert set(gathered.values()) == {2}, gathered  # once forwards, once for all of the layer's backward pass
    assert counted["saved"] == dict.fromkeys(counted["trained"], 1)


@pytest.mark.parametrize(
    ("training", "share"),
    [
        ({}, 1.0),
        ({"recomputeEvery": 2}, 0.5),
        ({"keepLayers": 1}, 0.5),
        ({"keepLayers": 99}, 0.0),
        ({"gradientCheckpointing": False}, 0.0),
        ({"method": "full"}, 1.0),
    ],
)
def test_a_rank_recomputes_the_layers_that_the_spec_names(
    model_folder: Path, training: dict[str, Any], share: float
) -> None:
    from fabula_workloads.training.model.recompute import _checkpoint_whole
    from fabula_workloads.training.model.tuned_model import build_model

    wire = {"dataset": {"uri": "d"}, "model": {"uri": "m"}, "topology": {"gpusPerNode": 1, "device": "cpu"}}
    spec = FineTuneRunSpec.model_validate(wire | {"training": {"precision": "fp32", **training}})
    job = TrainingJob(spec=spec, dataset=Path(), model=model_folder, base_name="m", deepspeed={}, work=Path())
    base, _ = build_model(job)
    layers = base.get_decoder().layers
    recomputed = [layer for layer in layers if layer.gradient_checkpointing]
    assert len(recomputed) == share * len(layers)
    assert recomputed == list(layers[: len(recomputed)]) or "recomputeEvery" in training, "the last ones are kept"
    assert all(layer._gradient_checkpointing_func is _checkpoint_whole for layer in recomputed)
