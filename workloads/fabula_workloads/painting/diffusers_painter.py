"""Stable Diffusion 3 through diffusers: the production call, on a GPU in bf16 or on the CPU in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from fabula_workloads.models.library_logs import quiet_diffusers
from fabula_workloads.models.torchvision_shim import prepare_torchvision
from fabula_workloads.painting.pipeline_parts import load_parts
from fabula_workloads.painting.png import encode_png
from fabula_workloads.painting.scene import Picture, Refusal, Scene


class DiffusersPainter:
    """Loads the pipeline once and draws batches. Each scene has a generator of its own, seeded by the scene."""

    def __init__(
        self,
        folder: Path | str,
        *,
        model: str,
        device: Literal["cuda", "cpu"],
        steps: int,
        guidance_scale: float,
    ) -> None:
        """`folder` holds the pipeline; `model` is its name for provenance. Raises OSError where it is no pipeline,
        and UnfitWeights where its parts do not hold all their weights."""
        prepare_torchvision()
        import torch
        from diffusers import StableDiffusion3Pipeline

        quiet_diffusers()
        self.model = model
        self._steps = steps
        self._guidance_scale = guidance_scale
        self._generator = torch.Generator
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        parts = load_parts(Path(folder), dtype)
        self._pipeline: Any = StableDiffusion3Pipeline.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, **parts
        )
        self._pipeline.to(device)
        self._pipeline.set_progress_bar_config(disable=True)

    def draw(self, scenes: Sequence[Scene]) -> list[Picture | Refusal]:
        """Draw the scenes, which must have one size, in one batch. Noise comes from the CPU: same on any device."""
        images = self._pipeline(
            prompt=[scene.prompt for scene in scenes],
            generator=[self._generator("cpu").manual_seed(scene.seed) for scene in scenes],
            width=scenes[0].width,
            height=scenes[0].height,
            num_inference_steps=self._steps,
            guidance_scale=self._guidance_scale,
        ).images
        return [Picture(encode_png(image)) for image in images]
