"""Thumbnails as data URIs: the page carries its pictures, and asks no server for them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from fabula_workloads.pictures.opening import open_picture

MAX_BYTES = 40_000
_WIDTH, _HEIGHT = 360, 360


def thumbnail(path: Path) -> str:
    """A `data:image/jpeg` URI of at most 40 KB of JPEG, at most 360 pixels on a side, metadata left out."""
    small = open_picture(path)
    small.thumbnail((_WIDTH, _HEIGHT))
    for quality in (80, 65, 50, 35, 20):
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= MAX_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
