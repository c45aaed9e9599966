"""Is it a picture? A truncated file, a wrong size or one flat colour is found here and not by a model in training."""

from __future__ import annotations

import io
import struct

from PIL import Image

from fabula_workloads.pictures.opening import UnfitPicture, is_flat, open_picture, picture_size

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DRAWN = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def encode_png(image: Image.Image) -> bytes:
    """A PNG of the pixels alone, without any text, time or EXIF chunk."""
    bare = Image.new("RGB", image.size)
    bare.paste(image.convert("RGB"))
    buffer = io.BytesIO()
    bare.save(buffer, "PNG")
    return buffer.getvalue()


def flaw_of(png: bytes, width: int, height: int) -> str | None:
    """What is wrong with a drawn PNG, as one CamelCase word; None when it is whole, of its size and not flat."""
    if not png.startswith(SIGNATURE):
        return "NotPng"
    try:
        if picture_size(png) != (width, height):
            return "WrongSize"
        picture = open_picture(png)
    except UnfitPicture as error:
        return "UnreadablePng" if error.reason == "Unreadable" else "WrongSize"
    if is_flat(picture):
        return "FlatPicture"
    return "HasMetadata" if set(chunks_of(png)) - _DRAWN else None


def without_metadata(png: bytes) -> bytes:
    """The PNG without text, time, EXIF and provenance chunks, its pixels untouched; what is no PNG stays as it is."""
    if not png.startswith(SIGNATURE):
        return png
    kept, at = [SIGNATURE], len(SIGNATURE)
    while at + 8 <= len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        end = at + 12 + length
        if kind in _DRAWN:
            kept.append(png[at:end])
        at = end
    return b"".join(kept)


def chunks_of(png: bytes) -> list[bytes]:
    """Chunk types of a PNG, in order."""
    kinds, at = [], len(SIGNATURE)
    while at + 8 <= len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        kinds.append(kind)
        at += 12 + length
    return kinds
