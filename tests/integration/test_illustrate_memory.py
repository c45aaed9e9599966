"""Drawing where memory is short: what does not fit is halved, and pictures do not depend on how they were drawn."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from fabula_workloads.painting.scene import Picture, Refusal, Scene, scene_seed

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fabula_quickstart.tiny import sd3

    path = tmp_path_factory.mktemp("model") / "sd3"
    sd3.build(path)
    return path


def painter(folder: Path, device: Any, **asked: Any) -> Any:
    from fabula_workloads.painting.diffusers_painter import DiffusersPainter

    return DiffusersPainter(
        folder, model="sd3", device=device, steps=2, guidance_scale=4.5, pixels=128 * 64, **asked
    )  # fmt: skip


SCENES = [Scene(f"e-0-{k}", f"a boat with {k} sails", scene_seed(0, str(k)), 128, 64) for k in range(5)]


def furthest(ones: list[Picture | Refusal], others: list[Picture | Refusal]) -> int:
    """Greatest difference of a pixel's colour."""
    pairs = [[Image.open(io.BytesIO(one.png)) for one in pair] for pair in zip(ones, others, strict=True)]  # type: ignore[union-attr]
    return max(int(most) for one, other in pairs for _, most in ImageChops.difference(one, other).getextrema())


def test_what_does_not_fit_is_halved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    ours = painter(folder, "cpu", at_once=5)
    pipeline, tried = ours._pipeline, []

    def short(prompt: list[str], **named: Any) -> Any:
        tried.append(len(prompt))
        if len(prompt) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return pipeline(prompt=prompt, **named)

    monkeypatch.setattr(ours, "_pipeline", short)
    found = ours.draw(SCENES)
    assert tried == [5, 3, 2, 2, 1], "halved until it fits, and remembered"
    ours.draw(SCENES[:4])
    assert tried[5:] == [2, 2]
    assert furthest(found, painter(folder, "cpu", at_once=1).draw(SCENES)) <= 1

    def never(**_: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ours, "_pipeline", never)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        ours.draw(SCENES[:1])


def test_offloaded_parts_draw_the_same(folder: Path, device: str) -> None:
    if device == "cpu":
        pytest.skip("parts are moved to and from a GPU: --device cuda")
    import torch

    expected = painter(folder, device, offload="never").draw(SCENES)
    ours = painter(folder, device, offload="always", compiled=True)
    assert furthest(ours.draw(SCENES), expected) <= 2
    assert next(ours._pipeline.text_encoder_3.parameters()).device == torch.device("cpu")
