"""The dataset at a glance: a picture with a row for each of a few samples, its scenes in order.

Which samples is decided by the order of ids, and only their pictures go in: equal datasets have equal sheets.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from PIL import Image, UnidentifiedImageError

from fabula_workloads.recipes.podcast.samples import Picture, Sample
from fabula_workloads.runtime.failures import InputInvalid

CONTACT_SHEET = "contact_sheet.jpg"
_ROWS, _WIDTH, _GAP = 8, 256, 6
_PAPER = (246, 244, 240)


def shown(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of the sheet: at most eight that have pictures, spread evenly over all."""
    drawn = [sample for sample in samples if sample.pictures]
    if len(drawn) <= _ROWS:
        return drawn
    return [drawn[number * len(drawn) // _ROWS] for number in range(_ROWS)]


def contact_sheet(samples: Sequence[Sample], read: Callable[[Picture], bytes]) -> bytes:
    """The sheet as JPEG; a scene without a picture leaves its place empty. Raises ValueError for no samples."""
    if not samples:
        raise ValueError("a contact sheet needs a sample with a picture")
    columns = max(picture.scene for sample in samples for picture in sample.pictures)
    cells = {
        (row, picture.scene - 1): _small(read(picture), picture)
        for row, sample in enumerate(samples)
        for picture in sample.pictures
    }
    height = max(cell.height for cell in cells.values())
    size = (columns * (_WIDTH + _GAP) + _GAP, len(samples) * (height + _GAP) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    for (row, column), cell in cells.items():
        sheet.paste(cell, (_GAP + column * (_WIDTH + _GAP), _GAP + row * (height + _GAP)))
    data = io.BytesIO()
    sheet.save(data, "JPEG", quality=85)
    return data.getvalue()


def _small(data: bytes, picture: Picture) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            whole = opened.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputInvalid(
            f"{picture.path} cannot be read as a picture ({type(error).__name__}); delete its outcome to draw it again"
        ) from error
    return whole.resize((_WIDTH, max(1, round(whole.height * _WIDTH / whole.width))), Image.Resampling.LANCZOS)
