"""Clean copies of photos: upright pixels and nothing else. EXIF may hold the place and camera of a private person."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

_QUALITY = 95


class UnreadablePhoto(Exception):
    """The bytes are no picture that can be decoded."""


def bare_jpeg(data: bytes) -> bytes:
    """The photo as an RGB JPEG, turned as its EXIF orientation says, without any metadata. Raises UnreadablePhoto."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadablePhoto(type(error).__name__) from error
    bare = Image.new("RGB", upright.size)
    bare.paste(upright)
    buffer = io.BytesIO()
    bare.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
