"""Settings of training that only the chat recipes have."""

from __future__ import annotations

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_workloads.runtime.failures import ConfigInvalid


def refuse_chat_settings(spec: FineTuneRunSpec, what: str) -> None:
    """Raise ConfigInvalid for what `what` ("a narrator") is not trained with: which field, and what to set it to."""
    refused = {
        "training.method": spec.training.method != "lora" and "lora",
        "training.packing": spec.training.packing and "false",
        "training.kernels": spec.training.kernels != "torch" and "torch",
        "lora.quantization": spec.lora.quantization != "none" and "none",
    }
    for field, instead in refused.items():
        if instead:
            raise ConfigInvalid(f"{field}: {what} is not trained so; set it to {instead}")
    if spec.lora.precision is not None:
        raise ConfigInvalid(f"lora.precision: {what} is not trained so; leave it out")
