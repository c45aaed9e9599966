"""A sentence-embedding model in sentence-transformers' layout: texts in batches, as vectors of unit length."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fabula_workloads.metrics.clip_score import Vectors
from fabula_workloads.models.library_logs import quiet_libraries
from fabula_workloads.models.loading import check_loaded, has_random_weights
from fabula_workloads.models.stored_files import check_folder
from fabula_workloads.models.torchvision_shim import prepare_torchvision

_BATCH = 64
_LONGEST = 512


class EmbeddingModel:
    """A `transformers` encoder with the pooling that its folder asks for."""

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        """Raises OSError, ValueError or DamagedFile where the folder holds no such model, or not all of one."""
        prepare_torchvision()
        quiet_libraries()
        from transformers import AutoModel, AutoTokenizer

        check_folder(folder)
        self.device = device
        self.random_weights = has_random_weights(folder)
        self._pool = _pooling(folder)
        model, told = AutoModel.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True,
            trust_remote_code=False, weights_only=True, dtype=torch.float32,
        )  # fmt: skip
        # A pooler that a checkpoint was saved without is never asked here.
        told["missing_keys"] = {name for name in told["missing_keys"] if not name.startswith("pooler.")}
        check_loaded(told)
        self._model: Any = model.to(device).eval()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        settings = folder / "sentence_bert_config.json"
        told_length = json.loads(settings.read_text()).get("max_seq_length") if settings.is_file() else None
        self._longest = int(told_length or min(self._tokenizer.model_max_length, _LONGEST))

    def encode(self, texts: Sequence[str], progress: Callable[[], None] = lambda: None) -> Vectors:
        """A row for each text; what is longer than the model reads is cut. `progress` is called between batches."""
        # Texts of about one length share a batch, so that little is padded.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        vectors = np.zeros((len(texts), self._model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), _BATCH):
            progress()
            at = order[start : start + _BATCH]
            tokens = self._tokenizer(
                [texts[index] for index in at], padding=True, truncation=True, max_length=self._longest,
                return_tensors="pt",
            ).to(self.device)  # fmt: skip
            with torch.inference_mode():
                pooled = self._pool(self._model(**tokens).last_hidden_state.float(), tokens["attention_mask"])
            vectors[at] = torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy()
        return vectors


def _pooling(folder: Path) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """How the folder's `1_Pooling/config.json` makes one vector of a text's many; their mean where there is none."""
    file = folder / "1_Pooling" / "config.json"
    settings = json.loads(file.read_text()) if file.is_file() else {}
    asked = settings.get("pooling_mode") or [
        name.removeprefix("pooling_mode_") for name, on in settings.items() if name.startswith("pooling_mode_") and on
    ]
    match asked:
        case [] | "mean" | ["mean_tokens"]:
            return _mean
        case "cls" | ["cls_token"]:
            return lambda states, mask: states[:, 0]
        case _:
            raise ValueError(f"1_Pooling/config.json asks for {asked}, and only mean and cls are known here")


def _mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    weights = mask.unsqueeze(-1).float()
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
