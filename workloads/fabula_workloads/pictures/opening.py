"""A picture as every reader of it gets it: upright, RGB, of a size and shape that a model's processor takes.

What cannot become one is refused by name before it is decoded, or while it is: a decoder's error is that picture's own.
"""

from __future__ import annotations

import errno
import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from fabula_workloads.runtime.failures import WorkerError, from_os_error

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What is decoded. Pillow knows many more, some of which start programs (EPS) or were never meant for foreign files."""
MAX_PIXELS = 50_000_000
"""Width x height. A phone's largest usual photo has as many; decoded it takes 200 MB."""
MAX_SIDE = 65_500
"""Pixels. A JPEG has no longer one."""
MAX_RATIO = 200
"""Longer to shorter side, as the strictest image processor takes it."""
MIN_SIDE = 4
"""Pixels. A side of 3 could be taken for the three channels, and nothing is to be seen on one."""
_FLAT_SPREAD = 2
_FEW = 32
"""Pixels on a side of what is looked at first."""
_LFS = b"version https://git-lfs"
_DEEP_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_ORIENTATION = 0x0112
_PNG_HEAD = 8
"""Bytes of a PNG before its first chunk."""
_GREYS = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}
"""White of a picture whose values are numbers, by its mode: the first that holds them all."""
_GREYS_16 = (4095.0, 65535.0)
"""Cameras and scanners of 12 bits keep them in 16."""


class UnfitPicture(Exception):
    """A picture that cannot be used. `reason` is one CamelCase word: Missing, Unreadable, TooLarge or TooNarrow."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what
        """As it goes on behind the picture's name: `is damaged (...)`."""
        self.path: Path | None = None
        """Where a file is no such picture."""


def open_picture(source: Path | bytes) -> Image.Image:
    """The picture, turned as its EXIF says, on white where it is transparent, and in the range of its own values.

    Of an animation the first frame. Raises UnfitPicture, and the named failure of a store that cannot be read.
    """
    with _opened(source) as image:
        image.load()
        picture = _rgb(image)
        turn = _TURNS.get(_orientation(image))
        return picture if turn is None else picture.transpose(turn)


def picture_size(source: Path | bytes) -> tuple[int, int]:
    """(width, height) of what `open_picture` would give, without decoding it. Raises as it does."""
    with _opened(source) as image:
        width, height = image.size
        # Pillow turns TIFF itself, and tells the size of the turned picture.
        return (height, width) if image.format != "TIFF" and _orientation(image) >= 5 else (width, height)


def is_flat(picture: Image.Image) -> bool:
    """Whether an RGB picture is one flat colour: a blanked or failed one, on which there is nothing to see."""
    # A few of its pixels tell of nearly every picture that it is none.
    few = picture.resize((_FEW, _FEW), Image.Resampling.NEAREST)
    return _is_flat(few) and _is_flat(picture)


def _is_flat(picture: Image.Image) -> bool:
    extrema: Any = picture.getextrema()
    return all(high - low < _FLAT_SPREAD for low, high in extrema)


@contextmanager
def _opened(source: Path | bytes) -> Iterator[Image.Image]:
    """The picture with its header read and judged. What is raised inside is the picture's error as well."""
    try:
        with (
            io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file,
            Image.open(file, formats=FORMATS) as image,
        ):
            _judge(image.size)
            yield image
    except MemoryError:
        raise
    except Exception as error:
        meaning = _meaning(error, source)
        if isinstance(meaning, UnfitPicture) and isinstance(source, Path):
            meaning.path = source
        raise meaning from error


def _meaning(error: Exception, source: Path | bytes) -> UnfitPicture | WorkerError:
    """What an error of opening or decoding says of the picture, or of the disk that it lies on."""
    if isinstance(error, UnfitPicture):
        return error
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return UnfitPicture("TooLarge", f"claims more than {MAX_PIXELS // 10**6} million pixels: scale it down")
    if isinstance(error, UnidentifiedImageError):
        return UnfitPicture("Unreadable", _no_picture(source))
    if isinstance(error, FileNotFoundError):
        return UnfitPicture("Missing", "is not there")
    # A decoder may seek to where nothing is (EINVAL); all other numbers are those of the disk.
    if isinstance(error, OSError) and isinstance(source, Path) and error.errno not in (None, errno.EINVAL):
        return from_os_error(error, str(source))
    return UnfitPicture("Unreadable", f"is a damaged picture ({type(error).__name__}: {str(error)[:120]})")


def _judge(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS or max(size) > MAX_SIDE:
        limit = f"at most {MAX_PIXELS // 10**6} million are decoded, and {MAX_SIDE} on a side"
        raise UnfitPicture("TooLarge", f"claims {width} x {height} pixels; {limit}: scale it down")
    if min(size) < MIN_SIDE or max(size) > MAX_RATIO * min(size):
        what = f"has {width} x {height} pixels, and a model's processor takes sides from {MIN_SIDE} pixels on"
        raise UnfitPicture("TooNarrow", f"{what}, the longer at most {MAX_RATIO} times the shorter: crop it")


def _no_picture(source: Path | bytes) -> str:
    head = source[:64] if isinstance(source, bytes) else source.open("rb").read(64)
    if head.startswith(_LFS):
        return "is a Git LFS pointer, not the picture itself: run `git lfs pull`"
    if not head:
        return "is empty"
    return f"is no picture of these formats: {', '.join(FORMATS)}"


def _orientation(image: Image.Image) -> int:
    """As EXIF has it; 1 where that cannot be read, as viewers do."""
    try:
        # Of a PNG Pillow decodes all pixels to see whether EXIF comes behind them, which it hardly ever does.
        ahead = image.format == "PNG" and not _has_words_behind_pixels(image)
        return int((Image.Image.getexif(image) if ahead else image.getexif()).get(_ORIENTATION, 1))
    except Exception:
        return 1


def _has_words_behind_pixels(image: Image.Image) -> bool:
    """Whether a PNG has something other than pixels between the first of them and its end, or cannot be read to it."""
    file: IO[bytes] | None = getattr(image, "fp", None)
    if file is None:
        return False  # it is decoded, and has read them
    place, pixels = file.tell(), False
    try:
        file.seek(_PNG_HEAD)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IEND":
                return False
            if pixels and kind != b"IDAT":
                return True
            pixels = pixels or kind == b"IDAT"
            file.seek(length + 4, io.SEEK_CUR)
        return True
    finally:
        file.seek(place)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in _DEEP_MODES:
        return _from_numbers(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    drawn = image.convert("RGBA")
    on_white = Image.new("RGB", drawn.size, "white")
    on_white.paste(drawn, mask=drawn.getchannel("A"))
    return on_white


def _from_numbers(image: Image.Image) -> Image.Image:
    """A grey picture of 16 bits or of numbers in 8 bits: from black to the white of its range, not cut off at 255.

    Numbers below 0 or above every usual white are stretched between their least and greatest.
    """
    values = np.asarray(image).astype(np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("no finite value")
    low, high = float(values[finite].min()), float(values[finite].max())
    white = next((white for white in _GREYS.get(image.mode, _GREYS_16) if low >= 0 and high <= white), None)
    black, white = (0.0, white) if white is not None else (low, high if high > low else low + 1)
    values = np.nan_to_num(values, nan=black, posinf=white, neginf=black)
    return Image.fromarray(np.rint((values - black) * (255 / (white - black))).clip(0, 255).astype(np.uint8))
