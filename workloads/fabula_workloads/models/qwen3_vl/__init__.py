"""Qwen3-VL, dense and as a mixture of experts: its batches, positions, kernels and operations."""

from typing import Any

from fabula_workloads.models.family import ModelFamily
from fabula_workloads.models.qwen3_vl.batches import collate, encode, picture_tokens
from fabula_workloads.models.qwen3_vl.flops import needed
from fabula_workloads.models.qwen3_vl.positions import unlike_in_vllm


def _use_liger(model: Any) -> None:
    from fabula_workloads.models.qwen3_vl.kernels import use_liger

    use_liger(model)


def _attend_at_once(model: Any) -> None:
    from fabula_workloads.models.qwen3_vl.vision import attend_at_once

    attend_at_once(model)


FAMILY = ModelFamily(
    name="qwen3_vl",
    model_types=("qwen3_vl", "qwen3_vl_moe"),
    processors=("Qwen3VLProcessor",),
    packable=("qwen3_vl", "qwen3_vl_moe"),
    liger=("qwen3_vl",),
    use_liger=_use_liger,
    picture_tokens=picture_tokens,
    encode=encode,
    collate=collate,
    needed=needed,
    prepare=_attend_at_once,
    imports=(
        "fabula_workloads.models.qwen3_vl.vision",
        "qwen_vl_utils.vision_process",
        "transformers.models.qwen2.tokenization_qwen2",
        "transformers.models.qwen2_vl.image_processing_qwen2_vl",
        "transformers.models.qwen3_vl.processing_qwen3_vl",
        "transformers.models.qwen3_vl.video_processing_qwen3_vl",
    ),
    unlike_in_vllm=unlike_in_vllm,
)
