"""Specs of FineTuneRuns as the preflight sees them."""

from __future__ import annotations

from typing import Any

from fabula_api.fine_tune_run import FineTuneRunSpec

A100 = "NVIDIA-A100-SXM4-80GB"
B32 = "Qwen3-VL-32B"


def spec_of(model: str, stage: int = 3, gpus: int = 8, product: str | None = A100, **fields: Any) -> dict[str, Any]:
    return {
        "dataset": {"ref": "data"},
        "model": {"name": model},
        "deepspeed": {"stage": stage},
        "topology": {"gpusPerNode": gpus, "product": product},
        **fields,
    }


def parsed(*args: Any, **fields: Any) -> FineTuneRunSpec:
    return FineTuneRunSpec.model_validate(spec_of(*args, **fields))
