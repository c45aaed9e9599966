"""Pictures as people have them: one row for each kind, named by where it comes from. A new report is one more row."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SIZE = (120, 80)
"""Of every usable picture: lying, as wide as SIZE[0]."""
_LIES_UPRIGHT = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def scene() -> Image.Image:
    """What every usable picture shows: dark sky, a white disc in its left upper corner, brighter to the right."""
    across = np.linspace(20, 140, SIZE[0], dtype=np.float32)
    image = Image.fromarray(np.tile(across, (SIZE[1], 1)).astype(np.uint8)).convert("RGB")
    ImageDraw.Draw(image).ellipse((10, 8, 34, 32), fill=(255, 255, 255))
    return image


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def turned(orientation: int, format: str = "JPEG") -> bytes:
    """As a camera stores it that was held in another way."""
    exif, lying = Image.Exif(), _LIES_UPRIGHT[orientation]
    exif[0x0112] = orientation
    return saved(scene() if lying is None else scene().transpose(lying), format, exif=exif)


def drawing(mode: str) -> bytes:
    """The scene with its sky cut out, on a transparent ground whose hidden colour is black."""
    sky = scene().convert("L").point(lambda value: 255 if value == 255 else 0)
    cut = Image.merge("RGBA", (*Image.new("RGB", SIZE).split(), sky))
    if mode == "P":
        palette = Image.new("P", SIZE, 0)
        palette.putpalette([0, 0, 0, 0, 0, 0])
        palette.paste(1, mask=sky)
        return saved(palette, "PNG", transparency=0)
    return saved(cut.convert(mode), "PNG")


def grey(kind: str, format: str = "TIFF") -> bytes:
    """The scene in grey, in the numbers of scanners and of scientific software."""
    values = np.asarray(scene().convert("L")).astype(np.float32) / 255
    made = {
        "16": lambda: (values * 65535).astype(np.uint16),
        "12": lambda: (values * 4095).astype(np.uint16),
        "int": lambda: (values * 65535).astype(np.int32),
        "unit": lambda: values,
        "bytes": lambda: values * 255,
        "signed": lambda: values * 3000 - 1000,
        "holes": lambda: np.where(values < 0.1, np.nan, values),
    }[kind]()
    return saved(Image.fromarray(made), format)


def claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    )


def sized(width: int, height: int) -> bytes:
    return saved(Image.effect_noise((width, height), 60).convert("RGB"), "PNG")


@dataclass(frozen=True)
class Usable:
    """A picture that is used as a person sees it; `sky_is_white` where its ground is transparent."""

    kind: str
    make: Callable[[], bytes]
    sky_is_white: bool = False


@dataclass(frozen=True)
class Unfit:
    """A picture that is refused, with the reason and words of what is said."""

    kind: str
    make: Callable[[], bytes]
    reason: str
    words: str


USABLE = [
    Usable("a web page's JPEG", lambda: saved(scene(), "JPEG")),
    Usable("a print shop's CMYK JPEG", lambda: saved(scene().convert("CMYK"), "JPEG", quality=95)),
    Usable("a phone held upright", lambda: turned(6)),
    Usable("a phone held upside down", lambda: turned(3)),
    Usable("a phone held the other way round", lambda: turned(8)),
    Usable("a turned PNG", lambda: turned(6, "PNG")),
    Usable("a turned WebP", lambda: turned(8, "WEBP")),
    Usable("a turned TIFF", lambda: turned(6, "TIFF")),
    Usable("a camera's EXIF that is cut short", lambda: saved(scene(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05")),
    Usable("a scanner's 16-bit PNG", lambda: grey("16", "PNG")),
    Usable("a scanner's 16-bit TIFF", lambda: grey("16")),
    Usable("a camera's 12 bits in 16", lambda: grey("12")),
    Usable("32-bit integers of a microscope", lambda: grey("int")),
    Usable("floats from 0 to 1", lambda: grey("unit")),
    Usable("floats from 0 to 255", lambda: grey("bytes")),
    Usable("signed floats", lambda: grey("signed")),
    Usable("floats with holes", lambda: grey("holes")),
    Usable("an animated GIF", lambda: saved(scene(), "GIF", save_all=True, append_images=[Image.new("RGB", SIZE)])),
    Usable("a BMP", lambda: saved(scene(), "BMP")),
    Usable("a drawing on a transparent ground", lambda: drawing("RGBA"), True),
    Usable("a grey drawing with alpha", lambda: drawing("LA"), True),
    Usable("an icon of two colours, one of them transparent", lambda: drawing("P"), True),
]
UNFIT = [
    Unfit("a panorama's strip", lambda: sized(2048, 9), "TooNarrow", "has 2048 x 9 pixels"),
    Unfit("a standing strip", lambda: sized(5, 1500), "TooNarrow", "has 5 x 1500 pixels"),
    Unfit("a counting pixel", lambda: sized(1, 1), "TooNarrow", "has 1 x 1 pixels"),
    Unfit("a rule of 3 pixels", lambda: sized(300, 3), "TooNarrow", "has 300 x 3 pixels"),
    Unfit("a header that claims 20000 x 20000", lambda: claims(20_000, 20_000), "TooLarge", "pixels"),
    Unfit("a header that claims 9000 x 9000", lambda: claims(9_000, 9_000), "TooLarge", "claims 9000 x 9000 pixels"),
    Unfit("a download cut short", lambda: saved(scene(), "JPEG")[:700], "Unreadable", "is a damaged picture"),
    Unfit("a PNG cut short", lambda: saved(scene(), "PNG")[:-200], "Unreadable", "is a damaged picture"),
    Unfit("a page that says 404", lambda: b"<!doctype html><title>404</title>", "Unreadable", "is no picture of these"),
    Unfit("a clone without Git LFS", lambda: b"version https://git-lfs.github.com/spec/v1\n", "Unreadable", "lfs pull"),
    Unfit("an empty file", lambda: b"", "Unreadable", "is empty"),
    Unfit("a PostScript file", lambda: saved(scene(), "EPS"), "Unreadable", "is no picture of these formats: JPEG"),
    Unfit("an icon of Windows", lambda: saved(scene(), "ICO"), "Unreadable", "is no picture of these formats: JPEG"),
    Unfit("a phone's HEIC", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "Unreadable", "is no picture of these"),
]
