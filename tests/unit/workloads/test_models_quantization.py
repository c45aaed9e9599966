"""A base in 4 bits: what is quantised, that evaluation computes as training does, and what cannot be held so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.torch


def test_language_layers_are_held_in_4_bits_and_nothing_else(model_folder: Path, device: Any) -> None:
    import torch
    from bitsandbytes.nn import Linear4bit

    from fabula_workloads.models.loading import load_base

    model = load_base(model_folder, device=device, precision="fp32", quantization="nf4")
    plain = load_base(model_folder, device=device, precision="fp32")
    linear = {name for name, module in plain.named_modules() if isinstance(module, torch.nn.Linear)}
    held = {name for name, module in model.named_modules() if isinstance(module, Linear4bit)}
    assert held == {name for name in linear if name.startswith("model.language_model.layers.")}
    state = model.get_submodule(min(held)).weight.quant_state
    assert (state.quant_type, state.nested, state.dtype) == ("nf4", True, torch.float32)
    for name, parameter in plain.named_parameters():
        if name.removesuffix(".weight") not in held:
            assert torch.equal(model.get_parameter(name), parameter), name


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_evaluation_leaves_the_weights_as_they_are(model_folder: Path, precision: Any, device: Any) -> None:
    import torch

    from fabula_workloads.models.loading import load_base

    model = load_base(model_folder, device=device, precision=precision, quantization="nf4")

    def bits() -> dict[str, torch.Tensor]:  # two 4-bit weights in a byte are no number, or none that equals itself
        return {name: p.detach().clone().view(torch.uint8) for name, p in model.named_parameters()}

    before = bits()
    ids = torch.arange(100, 120, device=device)[None]
    with torch.inference_mode():
        evaluated = model(input_ids=ids).logits
    assert torch.equal(model.train()(input_ids=ids).logits, evaluated)
    assert all(torch.equal(found, before[name]) for name, found in bits().items())


def test_a_model_with_weights_that_stay_whole_is_refused(model_folder: Path, device: Any) -> None:
    import torch

    from fabula_workloads.models.loading import load_base
    from fabula_workloads.models.quantization import settle
    from fabula_workloads.runtime.failures import ConfigInvalid

    model = load_base(model_folder, device=device, precision="fp32", quantization="nf4")
    model.get_decoder().layers[1].mlp.gate_proj = torch.nn.Linear(128, 256, device=device)
    with pytest.raises(ConfigInvalid, match=r"layers\.1\.mlp\.gate_proj \(Linear\) and 0 more; set it to none"):
        settle(model)
