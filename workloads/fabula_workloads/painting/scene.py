"""Scenes, pictures and refusals: the records that a painter maps from and to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from fabula_workloads.bedrock.usage import UsageRecord
from fabula_workloads.runtime.outcomes import Kept

BEDROCK_SIZES = {"16:9": (1344, 768), "1:1": (1024, 1024)}
"""Width and height by the aspect ratio that Stable Diffusion 3.5 takes on Bedrock, about one megapixel each."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture to draw."""

    key: str
    """Stable over restarts and shard counts: `<source>-<sample>-<scene>`."""
    prompt: str
    """Full prompt, style included."""
    seed: int
    width: int
    height: int
    retry: int = 0
    """Round of `retryFailed` in which it is drawn; each has a seed and a path of its own."""


class PaidFacts(Kept):
    """What a provider was asked for, said and took, of a scene."""

    seed: int | None = None
    prompt_digest: str | None = None
    rewritten: bool = False
    """Whether a milder prompt was drawn."""
    finish: str | None = None
    request_id: str | None = None
    usage: UsageRecord


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn scene, as a PNG file's bytes."""

    png: bytes
    stored: bool = False
    """Whether the painter stored it already, at `picture_path`: one that is paid for is safe before anything else."""
    paid: PaidFacts | None = None
    """What its outcome says of the provider; None where nobody was paid."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A scene that this painter will not draw, however often it is asked."""

    reason: str
    """One CamelCase word."""
    paid: PaidFacts | None = None
    """As of a picture."""


class Painter(Protocol):
    """Draws scenes. One result for each scene, in order; raises for failures that may pass."""

    model: str
    """Name of the model, for provenance."""

    def draw(self, scenes: Sequence[Scene]) -> list[Picture | Refusal]:
        """Draw the scenes at once."""
        ...


def picture_path(scene: Scene) -> str:
    """Where a scene's PNG lies in the stage's folder: `pictures/<source>/<sample>-<scene>[-r<round>].png`."""
    source, sample, number = scene.key.rsplit("-", 2)
    again = f"-r{scene.retry}" if scene.retry else ""
    return f"pictures/{source}/{sample}-{number}{again}.png"


def once_more(scene: Scene, base: int, retry: int) -> Scene:
    """A scene that failed, for another round: the same one from another seed, since the old one fails again."""
    return replace(scene, seed=scene_seed(base, f"{scene.key}/{retry}"), retry=retry)


def scene_seed(base: int, key: str) -> int:
    """Seed of one scene, in 0 to 2^63 - 1: a picture does not depend on what was drawn before it, or in which shard."""
    return int.from_bytes(hashlib.sha256(f"{base}/{key}".encode()).digest()[:8], "big") >> 1


def height_of(width: int, aspect_ratio: str) -> int:
    """Height in pixels for a ratio such as `16:9`, rounded to a multiple of 16, which the model's grid needs."""
    across, _, down = aspect_ratio.partition(":")
    return max(16, round(width * int(down) / int(across) / 16) * 16)
