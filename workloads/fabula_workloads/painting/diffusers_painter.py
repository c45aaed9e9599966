"""Stable Diffusion 3 through diffusers: the production call, on a GPU in bf16 or on the CPU in fp32."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from fabula_workloads.models.library_logs import quiet_diffusers
from fabula_workloads.models.torchvision_shim import prepare_torchvision
from fabula_workloads.painting.pipeline_parts import load_parts
from fabula_workloads.painting.placement import MOST_AT_ONCE, Offload, placement
from fabula_workloads.painting.png import encode_png
from fabula_workloads.painting.scene import Picture, Refusal, Scene

_log = logging.getLogger(__name__)


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
        pixels: int,
        at_once: int | None = None,
        offload: Offload = "auto",
        compiled: bool = False,
    ) -> None:
        """`folder` holds the pipeline; `model` is its name for provenance; pictures will have `pixels`. `at_once`,
        `offload` and `compiled` are `batchSize`, `offload` and `compile` of the spec. Raises OSError where the folder
        is no pipeline, and UnfitWeights where its parts do not hold all their weights."""
        prepare_torchvision()
        import torch
        from diffusers import StableDiffusion3Pipeline

        quiet_diffusers()
        self.model = model
        self._steps = steps
        self._guidance_scale = guidance_scale
        self._generator = torch.Generator
        self._out_of_memory, self._free = torch.cuda.OutOfMemoryError, torch.cuda.empty_cache
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        parts = load_parts(Path(folder), dtype)
        self._pipeline: Any = StableDiffusion3Pipeline.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, **parts
        )
        self._pipeline.set_progress_bar_config(disable=True)
        # One picture after the other leaves the autoencoder, whose memory grows with what it decodes at once.
        self._pipeline.vae.enable_slicing()
        self._at_once = at_once or MOST_AT_ONCE
        if device == "cpu":
            return
        free, _ = torch.cuda.mem_get_info()
        held = placement(_bytes(parts), free, pixels, offload)
        self._at_once = at_once or held.at_once
        if held.tiles:
            self._pipeline.vae.enable_tiling()
        if held.offload:
            _log.info("the model's parts come to the GPU one by one: all of them do not fit")
            self._pipeline.enable_model_cpu_offload()
        else:
            self._pipeline.to(device)
        if compiled:
            _log.info("compiling the network when the first picture is drawn, which takes a while")
            for block in self._pipeline.transformer.transformer_blocks:
                block.compile()

    def draw(self, scenes: Sequence[Scene]) -> list[Picture | Refusal]:
        """Draw the scenes, which must have one size, in as many batches as memory asks for: what does not fit is
        halved, and so are later batches. Noise comes from the CPU: the same on any device."""
        drawn: list[Picture | Refusal] = []
        while len(drawn) < len(scenes):
            batch = scenes[len(drawn) : len(drawn) + self._at_once]
            try:
                drawn += self._draw(batch)
            except self._out_of_memory:
                if len(batch) == 1:
                    raise
                self._at_once = (len(batch) + 1) // 2
            else:
                continue
            # Outside of the handler, which would hold the tensors of what failed.
            _log.warning("%d pictures at once do not fit into the GPU's memory; now %d", len(batch), self._at_once)
            self._free()
        return drawn

    def _draw(self, scenes: Sequence[Scene]) -> list[Picture | Refusal]:
        images = self._pipeline(
            prompt=[scene.prompt for scene in scenes],
            generator=[self._generator("cpu").manual_seed(scene.seed) for scene in scenes],
            width=scenes[0].width,
            height=scenes[0].height,
            num_inference_steps=self._steps,
            guidance_scale=self._guidance_scale,
        ).images
        return [Picture(encode_png(image)) for image in images]


def _bytes(parts: Mapping[str, Any]) -> dict[str, int]:
    """Of each part's weights."""
    return {name: sum(weight.nbytes for weight in part.parameters()) for name, part in parts.items()}
