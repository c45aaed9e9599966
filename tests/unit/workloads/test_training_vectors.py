"""Published vectors: positions in three dimensions, where labels begin and end, sizes of pictures.

And an evaluation shows a tuned model what training showed it, to the last pixel and token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.training_dataset import build_model, samples, write_dataset

from fabula_api.arms import Generation
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.models.family import IGNORED
from fabula_workloads.models.loading import load_base
from fabula_workloads.models.processor import load_processor
from fabula_workloads.models.qwen3_vl.positions import rope_index
from fabula_workloads.training.samples.dataset import read_samples
from fabula_workloads.training.samples.encode import Encoder

pytestmark = [pytest.mark.torch, pytest.mark.invariant]
TRAINING, INFERENCE = PixelWindow(), PixelWindow(min_pixels=262_144, max_pixels=524_288)
SMALL = PixelWindow(min_pixels=1024, max_pixels=8192)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def base(model: Path) -> Any:
    return load_base(model, device="cpu", precision="fp32")


def positions(base: Any, kinds: list[int], grids: list[list[int]]) -> list[list[int]]:
    """Time, height and width of each token, by its kind: 0 text, 1 a picture's."""
    import torch

    ids = torch.tensor([[base.config.image_token_id if kind else 7 for kind in kinds]])
    found = rope_index(base)(ids, torch.tensor([kinds]), torch.tensor(grids))
    return [row[0].tolist() for row in found]


def test_three_words_a_picture_of_two_by_two_and_a_word(base: Any) -> None:
    time, height, width = positions(base, [0, 0, 0, 1, 1, 1, 1, 0], [[1, 4, 4]])
    assert time == [0, 1, 2, 3, 3, 3, 3, 5]
    assert height == [0, 1, 2, 3, 3, 4, 4, 5]
    assert width == [0, 1, 2, 3, 4, 3, 4, 5]


def test_each_of_several_pictures_begins_after_the_text_before_it(base: Any) -> None:
    # Merged grids of 1x3 and 3x1 with a word between; after each, text goes on behind the largest position.
    time, height, width = positions(base, [0, 1, 1, 1, 0, 1, 1, 1, 0], [[1, 2, 6], [1, 6, 2]])
    assert time == [0, 1, 1, 1, 4, 5, 5, 5, 8]
    assert height == [0, 1, 1, 1, 4, 5, 6, 7, 8]
    assert width == [0, 1, 2, 3, 4, 5, 5, 5, 8]


def test_labels_begin_behind_the_role_header_and_end_with_the_end_marker(model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, samples(1))
    processor = load_processor(model, SMALL)
    (sample,) = read_samples(tmp_path, "train")
    encoded = Encoder(processor, tmp_path).encode(sample.model_copy(update={"response": "rope by the rope"}))
    ids, labels = encoded["input_ids"].tolist(), encoded["labels"].tolist()
    first = next(index for index, label in enumerate(labels) if label != IGNORED)
    decode = processor.tokenizer.decode
    assert decode(ids[:first]).endswith("<|im_start|>assistant\n")
    # The published mask labels the line break behind the marker too, which no decoding ever reaches.
    assert labels[first:] == ids[first:]
    assert decode(ids[first:]) == "rope by the rope<|im_end|>"


@pytest.mark.parametrize(
    ("window", "size", "resized", "tokens"),
    [
        (TRAINING, (1344, 768), (864, 480), 405),
        (INFERENCE, (1344, 768), (928, 544), 493),
        (TRAINING, (1280, 853), None, 425),
        (INFERENCE, (1280, 853), None, 486),
        (PixelWindow(min_pixels=1024, max_pixels=50_176), (1344, 768), None, 45),
        (PixelWindow(min_pixels=1024, max_pixels=25_088), (1344, 768), None, 18),
        # Too small: both sides are scaled up, to multiples of 32.
        (TRAINING, (64, 64), (128, 128), 16),
    ],
)
def test_pictures_are_resized_as_published(
    model: Path, window: PixelWindow, size: tuple[int, int], resized: tuple[int, int] | None, tokens: int
) -> None:
    image_processor = load_processor(model, window).image_processor
    ((_, rows, columns),) = image_processor(images=[Image.new("RGB", size)], return_tensors="pt")["image_grid_thw"]
    assert int(rows * columns) // 4 == tokens
    assert image_processor.get_number_of_image_patches(size[1], size[0], {}) // 4 == tokens
    if resized is not None:
        assert (int(columns) * 16, int(rows) * 16) == resized


def test_an_evaluation_shows_the_very_tokens_and_pixels_of_training(model: Path, tmp_path: Path) -> None:
    from fabula_workloads.inference.request import Request
    from fabula_workloads.inference.transformers_engine import TransformersEngine
    from fabula_workloads.pictures.opening import open_picture

    write_dataset(tmp_path, samples(2, images=(3, 1)))
    encoder = Encoder(load_processor(model, SMALL), tmp_path)
    answerer = TransformersEngine(model, None, device="cpu", pixels=SMALL, generation=Generation())
    for sample in read_samples(tmp_path, "train"):
        trained = encoder.encode(sample)
        pictures = tuple(tmp_path / path for path in sample.images)
        request = Request(sample.id, 42, pictures, sample.prompt)
        asked = answerer._inputs([(request, [open_picture(path) for path in pictures])])
        prompt = trained["labels"] == IGNORED
        assert asked["input_ids"][0].tolist() == trained["input_ids"][prompt].tolist()
        assert (asked["pixel_values"] == trained["pixel_values"]).all()
        assert (asked["image_grid_thw"] == trained["image_grid_thw"]).all()


def test_both_kinds_have_one_definition_of_the_pixel_window() -> None:
    from fabula_api.eval_run import EvalRunSpec
    from fabula_api.fine_tune_run import FineTuneRunSpec

    windows = {kind.model_fields["pixels"].annotation for kind in (EvalRunSpec, FineTuneRunSpec)}
    assert windows == {PixelWindow}
    assert EvalRunSpec.model_fields["pixels"].get_default(call_default_factory=True) == TRAINING
    assert FineTuneRunSpec.model_fields["pixels"].get_default(call_default_factory=True) == TRAINING
