"""BERTScore: how alike two sentences are by the vectors of their tokens in a language model, each with its nearest.

Zhang et al., BERTScore: Evaluating Text Generation with BERT, 2020. Rescaling with a baseline is one straight line for
all pairs, so where sentences are only ranked, as here, it changes nothing and is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

LAYER = 17
"""Of roberta-large: the one that the authors chose by how well it agrees with people."""
_AT_ONCE = 64


class BertScorer:
    """A loaded model. Raises OSError or ValueError where the folder holds none."""

    def __init__(self, folder: Path, layer: int = LAYER) -> None:
        from fabula_workloads.models.torchvision_shim import prepare_torchvision

        prepare_torchvision()
        from transformers import AutoModel, AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model: Any = AutoModel.from_pretrained(folder).eval()
        layers = self._model.config.num_hidden_layers
        if layer > layers:
            raise ValueError(f"layer {layer} is asked for, but the model has {layers}")
        self._layer = layer

    def vectors(self, sentences: Sequence[str], progress: Callable[[], None] = lambda: None) -> list[tuple[Any, Any]]:
        """Each sentence as the unit vectors of its tokens, and which of them are words of it and no marks."""
        import torch

        embedded: list[tuple[Any, Any]] = []
        for start in range(0, len(sentences), _AT_ONCE):
            progress()
            batch = self._tokenizer(
                [sentence.strip() for sentence in sentences[start : start + _AT_ONCE]], padding=True, truncation=True,
                return_tensors="pt", return_special_tokens_mask=True,
            )  # fmt: skip
            special, mask = batch.pop("special_tokens_mask"), batch["attention_mask"].bool()
            with torch.inference_mode():
                hidden = self._model(**batch, output_hidden_states=True).hidden_states[self._layer]
            unit = torch.nn.functional.normalize(hidden, dim=-1)
            embedded += [
                (row[kept], (mark == 0)[kept]) for row, kept, mark in zip(unit, mask, special, strict=True)
            ]  # fmt: skip
        return embedded


def f1(prediction: tuple[Any, Any], reference: tuple[Any, Any]) -> float:
    """The F measure of two sentences. Marks of begin and end may be the nearest of a word, and do not count themselves;
    a sentence without words is like none."""
    (said, said_words), (meant, meant_words) = prediction, reference
    if not bool(said_words.any()) or not bool(meant_words.any()):
        return 0.0
    alike = said @ meant.T
    precision = float(alike.max(dim=1).values[said_words].mean())
    recall = float(alike.max(dim=0).values[meant_words].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
