"""The CLIP model behind `clip-score`: each picture and each passage is encoded once, in batches.

Also the published way to feed it, with its two defects, under names that say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from fabula_workloads.metrics.clip_score import Vectors
from fabula_workloads.models.clip import Clip, features_of
from fabula_workloads.models.loading import RANDOM_WEIGHTS_KEY
from fabula_workloads.pictures.opening import open_picture

PAPER_CHARACTERS = 500
"""The published evaluation scores only this much of a transcript's head."""
_BATCH = 32


class ClipModel(Clip):
    """A `transformers` CLIP with its tokenizer and image processor."""

    def __init__(self, source: str | Path, *, revision: str | None = None, device: str = "cpu") -> None:
        """Raises OSError, ValueError or DamagedFile where `source` holds no CLIP, or not all of one."""
        super().__init__(source, revision=revision, device=device)
        from transformers import CLIPTokenizer

        self.tokenizer: Any = CLIPTokenizer.from_pretrained(source, revision=revision)
        self.context: int = self.model.config.text_config.max_position_embeddings

    @property
    def window_tokens(self) -> int:
        """Tokens of text that fit, beside the start and the end token."""
        return self.context - 2

    @property
    def random_weights(self) -> bool:
        """Whether the model says of itself that it was never trained, so that its scores mean nothing."""
        return bool(getattr(self.model.config, RANDOM_WEIGHTS_KEY, False))

    def num_tokens(self, text: str) -> int:
        """Tokens of `text` without start and end token."""
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def encode_passages(self, passages: Sequence[str]) -> Vectors:
        """Unit vectors of passages. A passage over the limit is cut before its end token, never behind it."""
        rows = [
            self.tokenizer(list(batch), padding=True, truncation=True, max_length=self.context, return_tensors="pt")
            for batch in _batches(passages)
        ]
        return self._stack([self._text(row["input_ids"], row["attention_mask"]) for row in rows])

    def encode_pictures(self, pictures: Iterable[Path]) -> Vectors:
        """Unit vectors of pictures: the short side is scaled and the centre cropped, so that nothing is distorted."""
        return self._pictures(pictures, squash=False)

    def encode_pictures_paper_v1(self, pictures: Iterable[Path]) -> Vectors:
        """Unit vectors of pictures that were squashed to a square, as published; the aspect ratio is lost."""
        return self._pictures(pictures, squash=True)

    def encode_text_paper_v1(self, text: str) -> Vectors:
        """The published text vector: the head of the text, cut at the context length *without* its end token.

        With the end token gone, CLIP pools position 0, which sees only the start token: one vector for every long text.
        """
        ids = self.tokenizer(text[:PAPER_CHARACTERS], verbose=False, return_tensors="pt")["input_ids"][
            :, : self.context
        ]
        return self._stack([self._text(ids, torch.ones_like(ids))])

    def _pictures(self, paths: Iterable[Path], *, squash: bool) -> Vectors:
        side = self.model.config.vision_config.image_size
        vectors = []
        for batch in _batches(list(paths)):
            images = [open_picture(path) for path in batch]
            if squash:
                images = [image.resize((side, side), Image.Resampling.BICUBIC) for image in images]
            vectors.append(self.tensor(images))
        return self._stack(vectors)

    def _text(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return features_of(
                self.model.get_text_features(input_ids=ids.to(self.device), attention_mask=mask.to(self.device))
            )

    def _stack(self, vectors: list[torch.Tensor]) -> Vectors:
        if not vectors:
            return np.zeros((0, self.model.config.projection_dim), dtype=np.float32)
        rows = torch.cat(vectors).float()
        return np.asarray((rows / rows.norm(dim=-1, keepdim=True)).cpu().numpy(), dtype=np.float32)


def _batches(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
