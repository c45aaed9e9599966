"""From features to vectors of the language model: a perceiver over frames, or a Q-Former over parts of frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from fabula_api.recipes.audio_description.tune import TIMES, Mapping


def quick_gelu(values: torch.Tensor) -> torch.Tensor:
    """CLIP's approximation of GELU."""
    return values * torch.sigmoid(1.702 * values)


class _Layer(nn.Module):
    """A transformer layer with its norms first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, values: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        rows, length, width = values.shape
        qkv = self.qkv(self.norm_attention(values)).view(rows, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None, :])
        values = values + self.out(mixed.transpose(1, 2).reshape(rows, length, width))
        out: torch.Tensor = values + self.down(quick_gelu(self.up(self.norm_mlp(values))))
        return out


def _matrices(part: nn.Module) -> int:
    """Elements of a module's matrices, wherever ZeRO-3 holds them."""
    from fabula_workloads.training.libraries.zero import elements, shape

    return sum(elements(weight) for weight in part.parameters() if len(shape(weight)) > 1)


class Perceiver(nn.Module):
    """Learned latents that attend to features and to each other; what becomes of the latents is the output."""

    def __init__(self, width: int, hidden: int, latents: int, depth: int, heads: int, times: int) -> None:
        """`width` of a feature, `hidden` of the language model."""
        super().__init__()
        self.project = nn.Linear(width, hidden)
        nn.init.normal_(self.project.weight, std=width**-0.5)
        nn.init.zeros_(self.project.bias)
        self.norm = nn.LayerNorm(hidden)
        self.latents = nn.Parameter(torch.randn(latents, hidden) * hidden**-0.5)
        self.times = nn.Parameter(torch.randn(times, hidden) * hidden**-0.5)
        self.layers = nn.ModuleList(_Layer(hidden, heads) for _ in range(depth))

    def forward(self, features: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """(rows, latents, hidden) from (rows, frames, parts, width) and which frames there are, (rows, frames)."""
        rows, frames, parts, _ = features.shape
        mapped = self.norm(self.project(features)) + self.times[:frames, None]
        mapped = mapped.reshape(rows, frames * parts, -1)
        values = torch.cat([self.latents.expand(rows, -1, -1), mapped], dim=1)
        always = seen.new_ones(rows, len(self.latents))
        mask = torch.cat([always, seen.repeat_interleave(parts, dim=1)], dim=1)
        for layer in self.layers:
            values = layer(values, mask)
        return values[:, : len(self.latents)]

    def operations(self, latents: int, frames: int, parts: int) -> float:
        """Of a row, forward and backward: 6 a weight and vector, but 4 where features come in, which learn nothing;
        attention of T vectors to each other 12 T2 a layer and unit."""
        seen = frames * parts
        every = latents + seen
        hidden = self.norm.normalized_shape[0]
        looked = 12.0 * every**2 * hidden * len(self.layers)
        return 4.0 * seen * _matrices(self.project) + 6.0 * every * _matrices(self.layers) + looked


class QFormer(nn.Module):
    """transformers' own Q-Former: BERT layers whose learned queries attend to all parts of all frames."""

    def __init__(self, width: int, hidden: int, latents: int, depth: int, heads: int, times: int) -> None:
        super().__init__()
        from transformers import Blip2QFormerConfig, Blip2QFormerModel

        config = Blip2QFormerConfig(
            hidden_size=width, encoder_hidden_size=width, intermediate_size=4 * width, num_hidden_layers=depth,
            num_attention_heads=heads, cross_attention_frequency=1,
        )  # fmt: skip
        self.former = Blip2QFormerModel(config)
        self.latents = nn.Parameter(torch.randn(latents, width) * config.initializer_range)
        self.times = nn.Parameter(torch.randn(times, width) * config.initializer_range)
        self.project = nn.Linear(width, hidden)

    def forward(self, features: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """As a Perceiver's."""
        rows, frames, parts, width = features.shape
        flat = (features + self.times[:frames, None]).reshape(rows, frames * parts, width)
        out = self.former(
            query_embeds=self.latents.expand(rows, -1, -1),
            encoder_hidden_states=flat,
            encoder_attention_mask=seen.repeat_interleave(parts, dim=1).long(),
        )
        return torch.as_tensor(self.project(out.last_hidden_state))

    def operations(self, latents: int, frames: int, parts: int) -> float:
        """As a Perceiver's; keys and values of frames meet those, all else the queries."""
        config, seen = self.former.config, frames * parts
        width, layers = config.hidden_size, config.num_hidden_layers
        of_frames = 2 * layers * width**2
        looked = 12.0 * (latents + seen) * latents * width * layers
        met = seen * of_frames + latents * (_matrices(self.former) - of_frames + _matrices(self.project))
        return float(6.0 * met + looked)


class Faces(nn.Module):
    """A character's features, each mapped by itself."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, hidden)

    def forward(self, features: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """(rows, parts, hidden) from (rows, 1, parts, width)."""
        return torch.as_tensor(self.project(features[:, 0]))

    def operations(self, latents: int, frames: int, parts: int) -> float:
        """As a Perceiver's."""
        return 4.0 * parts * _matrices(self.project)


def mappings(spec: Mapping, shape: tuple[int, ...], hidden: int, frames: int) -> tuple[nn.Module, nn.Module]:
    """Those of clips and of characters, for features of that shape, with nothing shared."""
    width, times = shape[-1], max(TIMES[spec.kind], frames)
    if spec.kind == "perceiver":
        heads = spec.heads or max(1, hidden // 128)
        made = [
            Perceiver(width, hidden, latents, spec.depth, heads, times)
            for latents in (spec.latents, spec.character_latents)
        ]
        return made[0], made[1]
    clips = QFormer(width, hidden, spec.latents, spec.depth, spec.heads or max(1, width // 64), times)
    faces = Faces(width, hidden)
    faces.project.load_state_dict(clips.project.state_dict())
    return clips, faces


def per_character(spec: Mapping, shape: tuple[int, ...]) -> int:
    """Vectors of a character."""
    return spec.character_latents if spec.kind == "perceiver" else _parts(shape)


def _parts(shape: tuple[int, ...]) -> int:
    return shape[0] if len(shape) > 1 else 1


def in_parts(features: Any, shape: tuple[int, ...]) -> Any:
    """(frames, parts, width) of features of either published shape."""
    return features.reshape(len(features), _parts(shape), shape[-1])
