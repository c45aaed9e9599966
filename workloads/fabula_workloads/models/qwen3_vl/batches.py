"""From texts and pictures to tensors, and to batches: padded rows, or one packed row; pictures one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from fabula_workloads.models.family import FIGURES, IGNORED, Collate, Encoded, Needed
from fabula_workloads.models.qwen3_vl.positions import rope_index


def picture_tokens(processor: Any, width: int, height: int) -> int:
    """Tokens that a picture of this size becomes, beyond its placeholder."""
    image_processor = processor.image_processor
    patches: int = image_processor.get_number_of_image_patches(height, width, {})
    merged: int = image_processor.merge_size**2
    return patches // merged - 1


def handed_over(processor: Any, picture: Image.Image) -> Image.Image:
    """The picture as the family's own package hands it to the encoder, where that is the same to the bit.

    That is where nothing has to be resized: qwen-vl-utils resizes with Pillow and the encoder with torchvision, and a
    side of less than half a token gets other sizes. Such a picture is left to the encoder, as it is asked later.
    """
    seen = processor.image_processor
    side, (width, height) = seen.patch_size * seen.merge_size, picture.size
    least, most = seen.size["shortest_edge"], seen.size["longest_edge"]
    if width % side or height % side or not least <= width * height <= most:
        return picture
    from qwen_vl_utils.vision_process import fetch_image

    asked = {"image": picture, "min_pixels": least, "max_pixels": most}
    fetched: Image.Image = fetch_image(asked, image_patch_size=seen.patch_size)
    return fetched


def encode(processor: Any, prompt: str, answer_ids: Sequence[int], pictures: Sequence[Image.Image]) -> Encoded:
    """Tensors of one sample: input_ids, labels, mm_token_type_ids (one dimension), pixel_values, image_grid_thw."""
    import torch

    inputs = processor(
        text=[prompt], images=[handed_over(processor, picture) for picture in pictures], return_tensors="pt"
    )
    prompt_ids, types = inputs["input_ids"][0], inputs["mm_token_type_ids"][0]
    answer = torch.tensor(answer_ids, dtype=prompt_ids.dtype)
    return {
        "input_ids": torch.cat([prompt_ids, answer]),
        "labels": torch.cat([torch.full_like(prompt_ids, IGNORED), answer]),
        "mm_token_type_ids": torch.cat([types, torch.zeros(len(answer), dtype=types.dtype)]),
        "pixel_values": inputs["pixel_values"],
        "image_grid_thw": inputs["image_grid_thw"],
    }


def collate(model: Any, pad_token_id: int, needed: Needed | None, *, packed: bool) -> Collate:
    """The collator of a run: packed rows, or padded ones."""
    # The vision tower rounds pictures to its own type. Rounded in a loader's process, half as much goes to the GPU.
    seen_in = model.model.visual.dtype
    if packed:
        return PackedCollator(rope_index(model), needed, seen_in)
    return Collator(pad_token_id, needed, seen_in)


class Collator:
    """Joins encoded samples with any number of pictures each. Padding is masked, without label and of text type."""

    def __init__(self, pad_token_id: int, needed: Needed | None = None, seen_in: Any = None) -> None:
        """`needed` counts the operations of a batch; without it they are 0. `seen_in` is the type that pictures get;
        None leaves theirs."""
        self._needed, self._seen_in = needed, seen_in
        self._padding = {"input_ids": pad_token_id, "labels": IGNORED, "mm_token_type_ids": 0}

    def __call__(self, rows: Sequence[Sequence[Encoded]]) -> dict[str, Any]:
        """The batch: the samples' tensors and `attention_mask`."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        samples = [sample for row in rows for sample in row]
        lengths = torch.tensor([len(sample["input_ids"]) for sample in samples])
        batch = {
            name: pad_sequence([sample[name] for sample in samples], batch_first=True, padding_value=value)
            for name, value in self._padding.items()
        }
        batch["attention_mask"] = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
        return batch | _pictures(samples, self._seen_in) | {FIGURES: _figures(samples, self._needed)}


class PackedCollator:
    """Joins samples into one row without padding. Positions start anew with each sample, the picture's 3D ones too."""

    def __init__(self, positions: Callable[..., Any], needed: Needed | None = None, seen_in: Any = None) -> None:
        """`positions` is the model's own rule (`rope_index`); `needed` and `seen_in` as in `Collator`."""
        self._positions, self._needed, self._seen_in = positions, needed, seen_in

    def __call__(self, rows: Sequence[Sequence[Encoded]]) -> dict[str, Any]:
        """The batch: the joined tensors, `position_ids` (4, 1, length), `segments` (lengths of the samples) and
        `logits_to_keep`: only where a label follows are logits worth their memory."""
        import torch

        samples = [sample for row in rows for sample in row]
        labels = [sample["labels"].clone() for sample in samples]
        for label in labels:
            label[0] = IGNORED  # no sample's first token is predicted from the sample before it
        joined = torch.cat(labels)
        positions = []
        for sample in samples:
            ids, types = sample["input_ids"][None], sample["mm_token_type_ids"][None]
            place = torch.arange(ids.shape[1])[None, None]
            positions.append(torch.cat([place, self._positions(ids, types, sample["image_grid_thw"])]))
        return {
            "input_ids": torch.cat([sample["input_ids"] for sample in samples])[None],
            "labels": joined[None],
            "position_ids": torch.cat(positions, dim=2),
            "segments": tuple(len(sample["input_ids"]) for sample in samples),
            "logits_to_keep": torch.nonzero(joined[1:] != IGNORED).flatten(),
            **_pictures(samples, self._seen_in),
            FIGURES: _figures(samples, self._needed),
        }


def _pictures(samples: Sequence[Encoded], seen_in: Any) -> dict[str, Any]:
    import torch

    return {
        "pixel_values": torch.cat([sample["pixel_values"].to(seen_in) for sample in samples]),
        "image_grid_thw": torch.cat([sample["image_grid_thw"] for sample in samples]),
    }


def _figures(samples: Sequence[Encoded], needed: Needed | None) -> dict[str, Any]:
    """What is added up of a batch, and the samples' lengths, as plain numbers.

    Counted here, in a loader's process, they cost the GPU no wait."""
    lengths = [len(sample["input_ids"]) for sample in samples]
    flops = 0.0
    if needed is not None:
        labelled = sum(int((sample["labels"][1:] != IGNORED).sum()) for sample in samples)
        flops = needed(lengths, labelled, [grid for sample in samples for grid in sample["image_grid_thw"].tolist()])
    return {"tokens": sum(lengths), "samples": len(samples), "flops": flops, "lengths": tuple(lengths)}
