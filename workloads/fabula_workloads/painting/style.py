"""The words put before each scene, so that all pictures of a dataset look like photographs by one person."""

from __future__ import annotations

import hashlib
import re

STYLE_VERSION = 1
STYLE = "A candid documentary photograph in natural light, true colours, sharp focus, everyday realism. The photo shows"

_NUMBERING = re.compile(r"^\s*scene\s*\d+\s*[:：.\-–—]\s*", re.IGNORECASE)
_LIMIT = 10_000
"""Longest prompt that the providers take, in characters."""


def full_prompt(scene: str) -> str:
    """Style and scene in one prompt. A leading "Scene 3:" is taken off; white space is made plain."""
    plain = " ".join(_NUMBERING.sub("", scene).split())
    return f"{STYLE}: {plain}"[:_LIMIT]


def prompt_digest(prompt: str) -> str:
    """`sha256:<hex>` of a full prompt: provenance that does not repeat the text."""
    return "sha256:" + hashlib.sha256(prompt.encode()).hexdigest()
