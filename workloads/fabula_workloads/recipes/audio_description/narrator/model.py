"""The narrator as a torch module: a language model, two mappings, and the new tokens with their heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fabula_api.recipes.audio_description.tune import AudioDescriptionTune
from fabula_workloads.models.family import IGNORED
from fabula_workloads.recipes.audio_description.narrator.mapping import mappings
from fabula_workloads.recipes.audio_description.narrator.tokens import NewTokens


class Heads(nn.Module):
    """The new tokens: each row is one's embedding, and the row of the output matrix that gives its logit."""

    def __init__(self, count: int, hidden: int, start: torch.Tensor) -> None:
        """All begin as `start`, the mean of the vocabulary's embeddings."""
        super().__init__()
        self.weight = nn.Parameter(start.detach().clone().expand(count, hidden).contiguous())

    def forward(self, values: torch.Tensor, *, embed: bool) -> torch.Tensor:
        """Embeddings of these tokens by number, or their logits after these hidden states."""
        return self.weight[values] if embed else values @ self.weight.T


class Narrator(nn.Module):
    """`language` is the causal language model, with or without an adapter in it."""

    def __init__(
        self, language: Any, tune: AudioDescriptionTune, tokens: NewTokens, shape: tuple[int, ...], start: torch.Tensor
    ) -> None:
        """`shape` of a frame's features; `start` as in `Heads`."""
        super().__init__()
        self.language = language
        self.tokens, self.tune = tokens, tune
        hidden = len(start)
        self.apart = tune.previous_clip == "apart"
        frames = tune.frames * (2 if tune.previous_clip == "before" else 1)
        self.clips, self.faces = mappings(tune.mapping, shape, hidden, frames)
        self.heads = Heads(tokens.count, hidden, start)

    @property
    def causal(self) -> Any:
        """The language model itself; an adapter's layers are in it."""
        return causal_of(self.language)

    def embeddings(
        self,
        input_ids: torch.Tensor,
        frames: torch.Tensor,
        frames_seen: torch.Tensor,
        faces: torch.Tensor,
        face_of: torch.Tensor,
        clip_of: torch.Tensor,
    ) -> torch.Tensor:
        """(rows, length, hidden): embeddings of words and new tokens, and at the places of vectors those.

        `frames` (clips, frames, parts, width) with which of them there are; `faces` (faces, parts, width). `clip_of`
        and `face_of` number the clips and faces whose vectors fill the places, in the order of rows and places.
        """
        known = self.tokens.vocabulary
        new = input_ids >= known
        values = self.causal.get_input_embeddings()(input_ids.masked_fill(new, 0))
        added = self.heads((input_ids - known).clamp(min=0), embed=True)
        values = torch.where(new[..., None], added.to(values.dtype), values)
        shown = self.clips(frames.to(values.dtype), frames_seen)[clip_of]
        values = _filled(values, input_ids == self.tokens.video, shown)
        # Without any face the mapping still takes part, weighted with nothing: all ranks have gradients of all weights.
        one_seen = frames_seen.new_ones(len(faces), 1)
        told = self.faces(faces.to(values.dtype)[:, None], one_seen)
        if len(face_of):
            return _filled(values, input_ids == self.tokens.character, told[face_of])
        unseen: torch.Tensor = values + 0.0 * told.sum()
        return unseen

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        targets: torch.Tensor,
        sample_of: torch.Tensor,
        positive: torch.Tensor,
        contrasted: torch.Tensor,
        frames: torch.Tensor,
        frames_seen: torch.Tensor,
        faces: torch.Tensor,
        face_of: torch.Tensor,
        clip_of: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Sum of cross entropies and number of labelled tokens of each row, for the loss. `targets` are labels of
        `input_ids`, -100 where there is none; rows belong to samples (`sample_of`), as their own description or not."""
        values = self.embeddings(input_ids, frames, frames_seen, faces, face_of, clip_of)
        hidden = self.causal.get_decoder()(
            inputs_embeds=values, attention_mask=attention_mask, use_cache=False
        ).last_hidden_state
        sums, counts = row_losses(self, hidden, targets)
        return {
            "sums": sums, "counts": counts, "sample_of": sample_of, "positive": positive, "contrasted": contrasted,
        }  # fmt: skip


class Reader(nn.Module):
    """The language model alone, as it learns the words of descriptions."""

    def __init__(self, language: Any) -> None:
        super().__init__()
        self.language = language
        self.heads: Heads | None = None

    @property
    def causal(self) -> Any:
        return causal_of(self.language)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        targets: torch.Tensor,
        sample_of: torch.Tensor,
        positive: torch.Tensor,
        contrasted: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """As a Narrator's, without clips."""
        values = self.causal.get_input_embeddings()(input_ids)
        hidden = self.causal.get_decoder()(
            inputs_embeds=values, attention_mask=attention_mask, use_cache=False
        ).last_hidden_state
        sums, counts = row_losses(self, hidden, targets)
        return {
            "sums": sums, "counts": counts, "sample_of": sample_of, "positive": positive, "contrasted": contrasted,
        }  # fmt: skip


def causal_of(language: Any) -> Any:
    """The causal language model of one with an adapter, or that itself."""
    return language.get_base_model() if hasattr(language, "peft_config") else language


def row_losses(model: Narrator | Reader, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[Any, Any]:
    """(sums, counts) by row. Logits are made where a label follows, and nowhere else."""
    wanted = targets[:, 1:] != IGNORED
    chosen = hidden[:, :-1][wanted]
    logits = model.causal.get_output_embeddings()(chosen)
    if model.heads is not None:
        logits = torch.cat([logits, model.heads(chosen, embed=False)], dim=-1)
    losses = torch.nn.functional.cross_entropy(logits.float(), targets[:, 1:][wanted], reduction="none")
    row = wanted.nonzero()[:, 0]
    sums = losses.new_zeros(len(targets)).index_add(0, row, losses)
    return sums, wanted.sum(dim=1)


def _filled(values: torch.Tensor, places: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    flat = vectors.reshape(-1, values.shape[-1]).to(values.dtype)
    return values.masked_scatter(places[..., None], flat)
