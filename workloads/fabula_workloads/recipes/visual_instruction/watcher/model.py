"""The watcher as a torch module: a vision-language model, the fusion of two streams, marks, the head that decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fabula_api.recipes.visual_instruction.tune import VisualInstructionTune
from fabula_workloads.recipes.visual_instruction.watcher.families import WatcherFamily
from fabula_workloads.recipes.visual_instruction.watcher.fusion import Deciding, Fusion, focal
from fabula_workloads.recipes.visual_instruction.watcher.hearing import Hearing
from fabula_workloads.recipes.visual_instruction.watcher.stream import IGNORED, PICTURE, SOUND
from fabula_workloads.recipes.visual_instruction.watcher.tokens import MarkIds


class Marks(nn.Module):
    """The marks: each row is one's embedding, and the row of the output matrix that gives its logit."""

    ids: torch.Tensor

    def __init__(self, ids: MarkIds, start: torch.Tensor) -> None:
        """All begin near `start`, the mean of the vocabulary's embeddings, and apart from each other."""
        super().__init__()
        self.register_buffer("ids", torch.tensor(ids.marks), persistent=False)
        size = float(start.float().norm()) or 1.0
        apart = torch.nn.init.orthogonal_(torch.empty(len(ids.marks), len(start)))
        self.weight = nn.Parameter((start.detach().float() + size * apart).to(start.dtype))

    def forward(self, values: torch.Tensor, *, embed: bool) -> torch.Tensor:
        """Embeddings of these marks by number, or their logits after these hidden states."""
        return self.weight[values] if embed else values @ self.weight.T


@dataclass(frozen=True, slots=True)
class Shown:
    """What fills the places of a user's stream."""

    pictures: torch.Tensor
    """(picture tokens, hidden), all rows one after another."""
    deep: tuple[torch.Tensor, ...]
    sounds: torch.Tensor | None = None


class Watcher(nn.Module):
    """`language` is the vision-language model, with or without updates in it."""

    def __init__(
        self, language: Any, family: WatcherFamily, tune: VisualInstructionTune, ids: MarkIds, start: torch.Tensor,
        hearing: Hearing | None = None,
    ) -> None:  # fmt: skip
        """`start` as in `Marks`."""
        super().__init__()
        self.language, self.family, self.tune, self.ids = language, family, tune, ids
        hidden = len(start)
        self.fusion = Fusion(tune.fusion, hidden)
        self.marks = Marks(ids, start)
        self.head = Deciding(hidden) if tune.decides else None
        self.hearing = hearing

    @property
    def base(self) -> Any:
        """The vision-language model itself; an update's layers are in it."""
        return self.language.get_base_model() if hasattr(self.language, "peft_config") else self.language

    def own_weights(self) -> dict[str, torch.Tensor]:
        """What is a watcher's beside the language model and its updates, by name: `projector.` begins the base's."""
        weights: dict[str, torch.Tensor] = {
            name: value
            for name, value in self.named_parameters()
            if not name.startswith(("language.", "hearing.encoder."))
        }
        weights |= {
            f"projector.{name}": value
            for name, value in self.base.named_parameters()
            if name.startswith(self.family.projector)
        }
        return weights

    def words(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings of tokens, marks among them; places of vectors have the first mark's until they are filled."""
        matches = ids[..., None] == self.marks.ids
        mark, number = matches.any(-1), matches.int().argmax(-1)
        foreign = mark | (ids < 0)
        values = self.base.get_input_embeddings()(ids.masked_fill(foreign, 0))
        marks = self.marks(number, embed=True).to(values.dtype)
        return torch.where(foreign[..., None], marks, values)

    def shown(self, pixels: torch.Tensor, sound: torch.Tensor | None = None) -> Shown:
        """Pictures and seconds of sound as vectors."""
        dtype = self.marks.weight.dtype
        seen = self.family.pictures(self.base, pixels.to(dtype))
        sounds = self.hearing(sound.to(dtype)).flatten(0, 1) if self.hearing is not None and sound is not None else None
        return Shown(seen.values.flatten(0, 1), tuple(layer.flatten(0, 1) for layer in seen.deep), sounds)

    def fused(self, agent: torch.Tensor, user: torch.Tensor, shown: Shown) -> torch.Tensor:
        """What the language model reads: the one way, in training, prefill and every later step."""
        values = self.words(user)
        values = values.masked_scatter((user == PICTURE)[..., None], shown.pictures.to(values.dtype))
        if shown.sounds is not None:
            heard = user == SOUND
            if heard.any():
                values = values.masked_scatter(heard[..., None], shown.sounds.to(values.dtype))
            else:  # all ranks have gradients of all weights, also for batches without sound
                values = values + 0.0 * shown.sounds.sum()
        fused: torch.Tensor = self.fusion(self.words(agent), values)
        return fused

    def states(
        self, agent: torch.Tensor, user: torch.Tensor, positions: torch.Tensor, shown: Shown, cache: Any = None
    ) -> torch.Tensor:
        """Hidden states (rows, length, hidden)."""
        values = self.fused(agent, user, shown)
        return self.family.decode(self.base, values, positions, user == PICTURE, shown.deep, cache)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """(..., rows of the vocabulary + marks). A mark that has a row in the vocabulary is not said by it."""
        known = self.base.get_output_embeddings()(states)
        inside = self.marks.ids[self.marks.ids < known.shape[-1]]
        if len(inside):
            known = known.index_fill(-1, inside, torch.finfo(known.dtype).min)
        return torch.cat([known, self.marks(states, embed=False).to(known.dtype)], dim=-1)

    def token_of(self, place: torch.Tensor, rows: int) -> torch.Tensor:
        """Token ids of places among the logits; `rows` as the vocabulary has."""
        mark = (place - rows).clamp(min=0)
        return torch.where(place < rows, place, self.marks.ids[mark])

    def place_of(self, tokens: torch.Tensor, rows: int) -> torch.Tensor:
        """Places among the logits of token ids."""
        matches = tokens[..., None] == self.marks.ids
        return torch.where(matches.any(-1), rows + matches.int().argmax(-1), tokens)

    def forward(
        self, user: torch.Tensor, agent: torch.Tensor, targets: torch.Tensor, positions: torch.Tensor,
        pixels: torch.Tensor, decide_row: torch.Tensor, decide_place: torch.Tensor, decide_wanted: torch.Tensor,
        sound: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """For the loss, by row: sum of cross entropies and number of labelled tokens, sum of focal losses and number of
        decisions."""
        states = self.states(agent, user, positions, self.shown(pixels, sound))
        rows = len(user)
        wanted = targets != IGNORED
        row = wanted.nonzero()[:, 0]
        logits = self.logits(states[wanted])
        size = logits.shape[-1] - len(self.marks.ids)
        losses = nn.functional.cross_entropy(logits.float(), self.place_of(targets[wanted], size), reduction="none")
        sums = {"text": _by_row(losses, row, rows), "tokens": wanted.sum(dim=1)}
        decisions = states.new_zeros(rows, dtype=torch.float32)
        if self.head is not None:
            scores = self.head(states[decide_row, decide_place])
            each = focal(scores, decide_wanted, self.tune.focal_alpha, self.tune.focal_gamma)
            decisions = _by_row(each, decide_row, rows)
            if not len(scores):
                decisions = decisions + 0.0 * self.head(states[:, 0]).float()
        counts = torch.zeros(rows, dtype=torch.long, device=states.device)
        counts = counts.index_add(0, decide_row, torch.ones_like(decide_row))
        return sums | {"decided": decisions, "decisions": counts}


def _by_row(values: torch.Tensor, row: torch.Tensor, rows: int) -> torch.Tensor:
    return values.new_zeros(rows).index_add(0, row, values)


def in_rows(values: Sequence[torch.Tensor], fill: int) -> torch.Tensor:
    """Sequences side by side, the shorter ones filled up."""
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence(list(values), batch_first=True, padding_value=fill)
