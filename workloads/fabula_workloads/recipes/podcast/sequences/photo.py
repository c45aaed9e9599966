"""Clean copies of photos: upright pixels and nothing else. EXIF may hold the place and camera of a private person."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from PIL import Image

from fabula_workloads.pictures.opening import is_flat, open_picture

_QUALITY = 95


@dataclass(frozen=True, slots=True)
class BarePhoto:
    """A photo as the arms will see it."""

    jpeg: bytes
    digest: str
    """Of its pixels: the same picture under two names has the same one."""
    flat: bool
    """Whether it is one flat colour."""


def bare_photo(data: bytes) -> BarePhoto:
    """The photo as an RGB JPEG, turned as its EXIF orientation says, without any metadata. Raises UnfitPicture."""
    picture = open_picture(data)
    bare = Image.new("RGB", picture.size)
    bare.paste(picture)
    buffer = io.BytesIO()
    bare.save(buffer, "JPEG", quality=_QUALITY)
    digest = hashlib.sha256(repr(bare.size).encode() + bare.tobytes()).hexdigest()
    return BarePhoto(buffer.getvalue(), digest, is_flat(bare))
