"""Pictures go through the family's own package where the encoder sees the same to the bit, and past it where not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.support.examples import examples

from fabula_api.shared_spec import PixelWindow
from fabula_workloads.models.processor import load_processor
from fabula_workloads.models.qwen3_vl.batches import handed_over

pytestmark = pytest.mark.torch
WINDOW = PixelWindow(min_pixels=64 * 64, max_pixels=256 * 256)


@pytest.fixture(scope="module")
def processor(model_folder: Path) -> Any:
    return load_processor(model_folder, WINDOW)


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width * 2000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@settings(max_examples=examples(15), deadline=None)
@given(columns=st.integers(2, 8), rows=st.integers(2, 8))
def test_what_fits_goes_through_and_is_equal_to_the_bit(processor: Any, columns: int, rows: int) -> None:
    side = processor.image_processor.patch_size * processor.image_processor.merge_size
    picture = noise(columns * side, rows * side)
    handed = handed_over(processor, picture)
    assert handed is not picture
    before, after = (processor.image_processor(images=[one], return_tensors="pt") for one in (picture, handed))
    assert before["image_grid_thw"].equal(after["image_grid_thw"])
    assert before["pixel_values"].equal(after["pixel_values"])


@pytest.mark.parametrize(("width", "height"), [(411, 500), (1024, 1024), (32, 32), (8, 112)])
def test_what_has_to_be_resized_is_left_to_the_encoder(processor: Any, width: int, height: int) -> None:
    picture = noise(width, height)
    assert handed_over(processor, picture) is picture


def test_the_package_would_resize_otherwise(processor: Any) -> None:
    from qwen_vl_utils.vision_process import fetch_image

    seen, picture = processor.image_processor, noise(411, 500)
    window = {"min_pixels": WINDOW.min_pixels, "max_pixels": WINDOW.max_pixels}
    fetched = fetch_image({"image": picture, **window}, image_patch_size=seen.patch_size)
    ours, theirs = (seen(images=[one], return_tensors="pt")["pixel_values"] for one in (picture, fetched))
    assert ours.shape == theirs.shape
    assert not ours.equal(theirs)
