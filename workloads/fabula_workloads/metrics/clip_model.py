"""The model behind `clip-score`, a CLIP or one of its kin: each picture and each passage is encoded once, in batches.

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
from fabula_workloads.models.clip_families import picture_side, width
from fabula_workloads.models.loading import RANDOM_WEIGHTS_KEY
from fabula_workloads.pictures.opening import open_picture

PAPER_CHARACTERS = 500
"""The published evaluation scores only this much of a transcript's head."""
_BATCH = 32


class ClipModel(Clip):
    """A `transformers` model of texts and pictures with its tokenizer and image processor."""

    def __init__(self, source: str | Path, *, revision: str | None = None, device: str = "cpu") -> None:
        """Raises OSError, ValueError or DamagedFile where `source` holds no such model, or not all of one."""
        super().__init__(source, revision=revision, device=device)
        from transformers import AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
        self.context: int = self.model.config.text_config.max_position_embeddings

    @property
    def window_tokens(self) -> int:
        """Tokens of text that fit, beside those that mark its start and end."""
        return self.context - int(self.tokenizer.num_special_tokens_to_add())

    @property
    def random_weights(self) -> bool:
        """Whether the model says of itself that it was never trained, so that its scores mean nothing."""
        return bool(getattr(self.model.config, RANDOM_WEIGHTS_KEY, False))

    def num_tokens(self, text: str) -> int:
        """Tokens of `text` without start and end token."""
        return len(self.tokenizer(self._dressed(text), add_special_tokens=False, verbose=False)["input_ids"])

    def encode_passages(self, passages: Sequence[str]) -> Vectors:
        """Unit vectors of passages. A passage over the limit is cut before its end token, never behind it."""
        full = {"padding": "max_length", "padding_side": "right"}
        how: dict[str, Any] = {"truncation": True, "max_length": self.context, "return_tensors": "pt", "padding": True}
        how |= full if self.feeding.full_length else {}
        rows = [self.tokenizer(list(map(self._dressed, batch)), **how) for batch in _batches(passages)]
        return self._stack([self._text(row["input_ids"], self._mask(row)) for row in rows])

    def encode_pictures(self, pictures: Iterable[Path]) -> Vectors:
        """Unit vectors of pictures as the model's own processor shows them: a CLIP's are scaled by their short side and
        cropped at the centre, so that nothing is distorted."""
        return self._pictures(pictures, squash=False)

    def encode_pictures_paper_v1(self, pictures: Iterable[Path]) -> Vectors:
        """Unit vectors of pictures that were squashed to a square, as published; the aspect ratio is lost."""
        return self._pictures(pictures, squash=True)

    def encode_text_paper_v1(self, text: str) -> Vectors:
        """The published text vector: the head of the text, cut at the context length *without* its end token.

        With the end token gone, CLIP pools position 0, which sees only the start token: one vector for every long text.
        """
        head = self._dressed(text[:PAPER_CHARACTERS])
        ids = self.tokenizer(head, verbose=False, return_tensors="pt")["input_ids"][:, : self.context]
        return self._stack([self._text(ids, None if self.feeding.full_length else torch.ones_like(ids))])

    def _dressed(self, text: str) -> str:
        return text.lower() if self.feeding.lower else text

    def _mask(self, row: Any) -> torch.Tensor | None:
        return None if self.feeding.full_length else row["attention_mask"]

    def _pictures(self, paths: Iterable[Path], *, squash: bool) -> Vectors:
        side = picture_side(self.model.config)
        vectors = []
        for batch in _batches(list(paths)):
            images = [open_picture(path) for path in batch]
            if squash:
                images = [image.resize((side, side), Image.Resampling.BICUBIC) for image in images]
            vectors.append(self.tensor(images))
        return self._stack(vectors)

    def _text(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        masked = {} if mask is None else {"attention_mask": mask.to(self.device)}
        with torch.inference_mode():
            return features_of(self.model.get_text_features(input_ids=ids.to(self.device), **masked))

    def _stack(self, vectors: list[torch.Tensor]) -> Vectors:
        if not vectors:
            return np.zeros((0, width(self.model.config)), dtype=np.float32)
        rows = torch.cat(vectors).float()
        return np.asarray((rows / rows.norm(dim=-1, keepdim=True)).cpu().numpy(), dtype=np.float32)


def _batches(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
