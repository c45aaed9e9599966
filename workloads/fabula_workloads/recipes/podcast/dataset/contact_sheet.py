"""The dataset at a glance: a picture with a row for each of a few samples, its scenes in order.

Which samples is decided by the order of ids, and only pictures and counts go in: equal datasets have equal sheets.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence, Set

from PIL import Image, ImageDraw

from fabula_workloads.pictures.opening import UnfitPicture, open_picture
from fabula_workloads.recipes.podcast.dataset.figures import FAINT, INK, PAPER, font
from fabula_workloads.recipes.podcast.dataset.samples import Picture, Sample
from fabula_workloads.runtime.failures import InputInvalid

CONTACT_SHEET = "contact_sheet.jpg"
_ROWS, _WIDTH, _GAP = 8, 256, 6
_CAPTION, _BETWEEN = 26, 14
_EMPTY = (234, 232, 226)


def shown(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of the sheet: at most eight that have pictures, of as many shows as it can, spread over all."""
    drawn = [sample for sample in samples if sample.pictures]
    first_of_show = list({sample.podcast: sample for sample in reversed(drawn)}.values())[::-1]
    chosen = {id(sample) for sample in _spread(first_of_show, _ROWS)}
    others = [sample for sample in drawn if id(sample) not in chosen]
    chosen |= {id(sample) for sample in _spread(others, _ROWS - len(chosen))}
    return [sample for sample in drawn if id(sample) in chosen]


def contact_sheet(samples: Sequence[Sample], validation: Set[str], read: Callable[[Picture], bytes]) -> bytes:
    """The sheet as JPEG; a scene without a picture leaves its place empty. Raises ValueError for no samples."""
    if not samples:
        raise ValueError("a contact sheet needs a sample with a picture")
    columns = max(picture.scene for sample in samples for picture in sample.pictures)
    rows = [{picture.scene - 1: _small(read(picture), picture) for picture in sample.pictures} for sample in samples]
    height = max(cell.height for row in rows for cell in row.values())
    step = _CAPTION + height + _BETWEEN
    sheet = Image.new("RGB", (columns * (_WIDTH + _GAP) + _GAP, len(samples) * step + _GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (sample, row) in enumerate(zip(samples, rows, strict=True)):
        top = _GAP + place * step
        split = "validation" if sample.podcast in validation else "training"
        draw.text((_GAP + 1, top + 18), sample.id, INK, font(15), anchor="ls")
        figures = f"{sample.words} words  ·  {split}"
        draw.text((sheet.width - _GAP - 1, top + 18), figures, FAINT, font(15), anchor="rs")
        for column in range(columns):
            corner = (_GAP + column * (_WIDTH + _GAP), top + _CAPTION)
            if column in row:
                sheet.paste(row[column], corner)
            else:
                _leave_empty(draw, corner, height)
    data = io.BytesIO()
    sheet.save(data, "JPEG", quality=88)
    return data.getvalue()


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    if len(samples) <= count:
        return list(samples)
    return [samples[(2 * number + 1) * len(samples) // (2 * count)] for number in range(count)]


def _leave_empty(draw: ImageDraw.ImageDraw, corner: tuple[int, int], height: int) -> None:
    left, top = corner
    draw.rectangle((left, top, left + _WIDTH - 1, top + height - 1), _EMPTY)
    draw.text((left + _WIDTH / 2, top + height / 2), "no picture", FAINT, font(16), anchor="mm")


def _small(data: bytes, picture: Picture) -> Image.Image:
    try:
        whole = open_picture(data)
    except UnfitPicture as error:
        raise InputInvalid(f"{picture.path} {error.what}; delete its outcome to draw it again") from error
    size = (_WIDTH, max(1, round(whole.height * _WIDTH / whole.width)))
    return whole.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
