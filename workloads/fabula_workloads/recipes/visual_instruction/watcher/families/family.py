"""What a watcher must know of a vision-language model: how pictures become vectors, positions, and one decoder pass.

A family reads a loaded model and holds none, so that loader workers can carry it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from fabula_api.shared_spec import PixelWindow

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures as vectors."""

    values: torch.Tensor
    """(pictures, tokens, hidden)."""
    deep: tuple[torch.Tensor, ...] = ()
    """What is added behind the first layers, each as `values`."""


class WatcherFamily(Protocol):
    """One kind of model, opened from its folder."""

    untouched: ClassVar[str]
    """Pattern of the modules that get no low-rank update: what sees and hears."""
    sound_encoder: Path | None
    """Folder of its encoder of sound; None where it is deaf."""
    projector: ClassVar[tuple[str, ...]]
    """Beginnings of the names of the weights between encoder and language model."""

    def __init__(self, folder: Path, pixels: PixelWindow, side: int, pooling: int) -> None:
        """`side` of the dataset's pictures."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a picture's tokens."""

    def pixels(self, pictures: Sequence[Image]) -> torch.Tensor:
        """(pictures, ...) as the encoder takes them."""

    def pictures(self, model: Any, pixels: torch.Tensor) -> Seen:
        """Pictures through encoder, projector and pooling."""

    def positions(self, kinds: Sequence[int]) -> torch.Tensor:
        """(3, length) of the user's stream, in which places of pictures are `PICTURE`."""

    def decode(
        self,
        model: Any,
        values: torch.Tensor,
        positions: torch.Tensor,
        seen: torch.Tensor,
        deep: Sequence[Any],
        cache: Any,
    ) -> torch.Tensor:
        """Hidden states (rows, length, hidden) of fused vectors. `positions` (3, rows, length); `deep` are the vectors
        of the places `seen`, by layer; `cache` has the keys and values before."""
