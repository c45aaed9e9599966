"""Sizes that Stable Diffusion 3.5 on Bedrock draws: it takes an aspect ratio, and the size follows."""

from __future__ import annotations

BEDROCK_SIZES = {"16:9": (1344, 768), "1:1": (1024, 1024)}
"""Width and height by aspect ratio, about one megapixel each."""
