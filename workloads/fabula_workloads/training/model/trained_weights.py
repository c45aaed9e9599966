"""Which weights of a loaded model are trained: a LoRA's, or with method `full` those of its language part.

Target modules are checked: a misspelt one would train nothing, in silence.
"""

from __future__ import annotations

from typing import Any

from fabula_api.fine_tune_run import Lora
from fabula_api.training_fit import unknown_targets
from fabula_workloads.runtime.failures import ConfigInvalid


def linear_layers(model: Any) -> set[str]:
    """Last parts of the names of the model's linear layers."""
    import torch

    return {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}


def add_lora(model: Any, lora: Lora, base_name: str) -> Any:
    """The model with a trainable low-rank update on the asked layers and everything else frozen.

    Raises ConfigInvalid for a target that is no linear layer of this model, naming those that are.
    """
    from peft import LoraConfig, get_peft_model

    from fabula_workloads.models.fp32_update import compute_in_fp32

    if problem := unknown_targets(lora, linear_layers(model), base_name):
        raise ConfigInvalid(problem)
    tuned = get_peft_model(
        model,
        LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=sorted(lora.target_modules),
            bias="none",
            task_type="CAUSAL_LM",
        ),
        autocast_adapter_dtype=False,
    )
    if lora.precision == "fp32":
        compute_in_fp32(tuned)
    else:
        # peft would make the update fp32, and DeepSpeed leave it so under ZeRO-3: each input would be copied to fp32
        # and multiplied in it, which GPUs are slow at. The optimizer keeps fp32 weights of its own.
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(model.get_input_embeddings().weight.dtype)
    # Otherwise the adapter would name a folder of this pod as its base.
    tuned.peft_config["default"].base_model_name_or_path = base_name
    return tuned


def train_language(model: Any) -> Any:
    """The model with its language part trained, embeddings and output matrix included, and all else frozen."""
    model.requires_grad_(False)
    model.get_decoder().requires_grad_(True)
    model.get_output_embeddings().requires_grad_(True)
    return model
