"""Labels on the answer alone, pictures of any number, lengths that are told without decoding, batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.training_dataset import build_model, samples, write_dataset

from fabula_api.shared_spec import PixelWindow
from fabula_workloads.models.family import IGNORED
from fabula_workloads.models.loading import has_random_weights
from fabula_workloads.models.processor import load_processor
from fabula_workloads.models.qwen3_vl.batches import Collator
from fabula_workloads.recipe_parts import Sample, messages
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.training.samples.dataset import read_samples
from fabula_workloads.training.samples.encode import Encoder

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    write_dataset(folder, samples(6, images=(1, 2, 3, 4, 5, 6)))
    return folder


@pytest.fixture
def processor(model: Path) -> Any:
    return load_processor(model, PixelWindow(min_pixels=1024, max_pixels=8192))


@pytest.fixture
def encoder(processor: Any, dataset: Path) -> Encoder:
    return Encoder(processor, dataset)


def labelled(encoded: dict[str, Any]) -> list[int]:
    return [token for token in encoded["labels"].tolist() if token != IGNORED]


def test_the_label_is_the_answer_and_its_end_marker(encoder: Encoder, processor: Any, dataset: Path) -> None:
    for sample in read_samples(dataset, "train"):
        encoded = encoder.encode(sample)
        assert processor.tokenizer.decode(labelled(encoded)) == sample.response + "<|im_end|>"
        answer = encoded["labels"] != IGNORED
        assert encoded["input_ids"][answer].tolist() == labelled(encoded)
        assert answer.tolist() == sorted(answer.tolist())  # one span, at the end


def test_the_prompt_in_training_is_the_prompt_in_inference(encoder: Encoder, processor: Any, dataset: Path) -> None:
    sample = read_samples(dataset, "train")[2]
    encoded = encoder.encode(sample)
    text = processor.apply_chat_template(messages(3, sample.prompt), tokenize=False, add_generation_prompt=True)
    from PIL import Image

    images = [Image.open(dataset / path).convert("RGB") for path in sample.images]
    asked = processor(text=[text], images=images, return_tensors="pt")
    given = encoded["labels"] == IGNORED
    assert encoded["input_ids"][given].tolist() == asked["input_ids"][0].tolist()
    assert (encoded["pixel_values"] == asked["pixel_values"]).all()
    assert (encoded["image_grid_thw"] == asked["image_grid_thw"]).all()


def test_the_role_word_in_a_prompt_opens_no_span(encoder: Encoder, dataset: Path) -> None:
    sample = read_samples(dataset, "train")[0]
    plain = encoder.encode(sample)
    sly = encoder.encode(sample.model_copy(update={"prompt": "assistant\nanswer as the assistant\n"}))
    assert labelled(sly) == labelled(plain)


@pytest.mark.parametrize("field", ["prompt", "response"])
def test_a_control_token_in_a_text_is_refused(encoder: Encoder, dataset: Path, field: str) -> None:
    sample = read_samples(dataset, "train")[0].model_copy(update={field: "Speaker 1: <|im_end|> and on"})
    with pytest.raises(InputInvalid, match=rf"sample {sample.id}: its {field} contains .*im_end"):
        encoder.encode(sample)


def test_a_template_that_hides_the_answer_is_refused(processor: Any, dataset: Path) -> None:
    processor.chat_template = "{% for message in messages %}{{ message['role'] }};{% endfor %}"
    with pytest.raises(ConfigInvalid, match="chat template"):
        Encoder(processor, dataset).render(read_samples(dataset, "train")[0])


def test_the_length_is_known_without_decoding(encoder: Encoder, dataset: Path) -> None:
    lengths = [
        (encoder.length(sample), len(encoder.encode(sample)["input_ids"])) for sample in read_samples(dataset, "train")
    ]
    assert all(told == real for told, real in lengths)
    assert len(set(lengths)) > 1


@pytest.mark.parametrize(
    ("content", "words"), [(None, "is not in the dataset"), (b"no picture at all", "is no picture")]
)
def test_a_picture_that_is_none_stops_the_run_by_name(
    encoder: Encoder, dataset: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (dataset / "broken.png").write_bytes(content)
    sample = Sample(id="s9", images=["broken.png" if content else "gone.png"], prompt="p", response="r")
    with pytest.raises(InputInvalid, match=f"sample s9: .*{words}"):
        encoder.length(sample)


def test_a_picture_cut_short_stops_the_run_by_name(encoder: Encoder, dataset: Path) -> None:
    sample = read_samples(dataset, "train")[1]
    whole = (dataset / sample.images[0]).read_bytes()
    (dataset / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputInvalid, match=f"sample {sample.id}: cut.png is a damaged picture"):
        encoder.encode(sample.model_copy(update={"images": ["cut.png"]}))
    encoder.check(sample)
    with pytest.raises(InputInvalid, match=r"cut\.png is a damaged picture"):
        encoder.check(sample.model_copy(update={"images": [*sample.images, "cut.png"]}))


def test_a_batch_pads_on_the_right_and_joins_all_pictures(encoder: Encoder, dataset: Path) -> None:
    encoded = [encoder.encode(sample) for sample in read_samples(dataset, "train")]
    batch = Collator(encoder.pad_token_id)([[sample] for sample in encoded])
    lengths = [len(sample["input_ids"]) for sample in encoded]
    assert batch["input_ids"].shape == (6, max(lengths))
    assert batch["attention_mask"].sum(dim=1).tolist() == lengths
    for row, sample in enumerate(encoded):
        assert batch["input_ids"][row, : lengths[row]].tolist() == sample["input_ids"].tolist()
        assert (batch["labels"][row, lengths[row] :] == IGNORED).all()
        assert (batch["mm_token_type_ids"][row, lengths[row] :] == 0).all()
    assert batch["measures"] == {"tokens": sum(lengths), "samples": 6, "flops": 0.0, "lengths": tuple(lengths)}
    assert batch["image_grid_thw"].shape[0] == 1 + 2 + 3 + 4 + 5 + 6
    assert batch["pixel_values"].shape[0] == sum(len(sample["pixel_values"]) for sample in encoded)


def test_the_pixel_window_decides_the_tokens_of_a_picture(model: Path, dataset: Path) -> None:
    sample = read_samples(dataset, "train")[0]
    small, large = (
        Encoder(load_processor(model, PixelWindow(min_pixels=pixels, max_pixels=2 * pixels)), dataset).length(sample)
        for pixels in (2048, 32_768)
    )
    assert large > small + 20


def test_the_published_picture_sizes_give_the_published_tokens(model: Path) -> None:
    """1344x768 becomes 864x480 in the training window: 405 tokens; at most 50,176 pixels: 45."""
    image_processor = load_processor(model, PixelWindow()).image_processor
    assert image_processor.get_number_of_image_patches(768, 1344, {}) // 4 == 405
    assert image_processor.get_number_of_image_patches(853, 1280, {}) // 4 == 425
    thumbnails = load_processor(model, PixelWindow(min_pixels=1024, max_pixels=50_176)).image_processor
    assert thumbnails.get_number_of_image_patches(768, 1344, {}) // 4 == 45


def test_a_tiny_model_says_that_its_weights_are_random_and_is_the_same_each_time(model: Path, tmp_path: Path) -> None:
    again = build_model(tmp_path / "again")
    assert has_random_weights(model)
    assert not has_random_weights(tmp_path)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (again / name).read_bytes() == (model / name).read_bytes()
