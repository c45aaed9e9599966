"""Where a pipeline's parts lie while it draws, and how many pictures it draws at once: reckoned from sizes.

Stable Diffusion 3.5 large has 27.6 GB of weights in bf16, of which its largest text encoder takes 9.5 and the network
that draws 16.3. Only one part works at a time, so a card of 24 GB draws too, if the others wait in the pod's memory
meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Offload = Literal["auto", "always", "never"]
MOST_AT_ONCE = 4
"""The network fills a card with one picture of a megapixel already; more of them only save starts of kernels."""
_SHARE = 0.92
"""Of the free memory; the rest is for what is not reckoned here."""
_DECODING = 3_000
"""Bytes a pixel of the autoencoder's widest layers: 256 channels in bf16, some six of them at once."""
_DRAWING = 800
"""Bytes a pixel of a pass of the network, guided and unguided together: 20 activations of 2,432 for 256 pixels."""
_TILE = 1024 * 1024
"""Pixels of a tile, beyond which the autoencoder cuts a picture up when it is told to."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How a pipeline is held."""

    offload: bool
    """Each part comes to the GPU for its work, and goes back."""
    tiles: bool
    """Pictures above a megapixel are decoded in tiles that overlap: less memory, seams blended."""
    at_once: int
    """Pictures drawn together."""


def placement(parts: Mapping[str, int], free: float, pixels: int, offload: Offload = "auto") -> Placement:
    """For parts of these bytes, a GPU with `free` bytes, and pictures of so many pixels."""
    room, decoding, drawing = _SHARE * free, _DECODING * pixels, _DRAWING * pixels
    total, largest = sum(parts.values()), max(parts.values(), default=0)
    moves = offload == "always" or (offload == "auto" and total + max(decoding, drawing) > room)
    held = largest if moves else total
    # When the autoencoder works, an offloaded pipeline holds nothing else.
    beside = parts.get("vae", 0) if moves else total
    tiles = pixels > _TILE and beside + decoding > room
    return Placement(moves, tiles, max(1, min(MOST_AT_ONCE, int((room - held) // drawing))))
