"""Moments at a glance: for a few samples the pictures around a span, those in which something is to be said framed."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from fabula_workloads.pictures.opening import open_picture
from fabula_workloads.recipes.visual_instruction.sample import VideoSample

SHEET = "moments.jpg"
_ROWS, _COLUMNS, _SIDE, _GAP, _CAPTION = 8, 8, 128, 4, 16
_PAPER, _INK, _MARK = (250, 249, 246), (40, 40, 40), (200, 60, 30)


def shown(samples: Sequence[VideoSample]) -> list[VideoSample]:
    """The samples of the sheet: at most eight that have a span, of as many tasks as it can."""
    spans = [sample for sample in samples if any(turn.unasked for turn in sample.turns)]
    first = list({sample.task: sample for sample in reversed(spans)}.values())
    others = [sample for sample in spans if sample not in first]
    return sorted([*first, *others][:_ROWS], key=lambda sample: sample.id)


def around(sample: VideoSample) -> list[tuple[float, bool]]:
    """(moment, within the span) of the pictures shown: the span's, with some before and after."""
    span = next(turn for turn in sample.turns if turn.unasked)
    start, end = span.start or 0.0, span.end or 0.0
    inside = [at for at in sample.frames if start <= at <= end]
    middle = inside[len(inside) // 2] if inside else min(sample.frames, key=lambda at: abs(at - start))
    place = sample.frames.index(middle)
    first = max(0, min(place - _COLUMNS // 2, len(sample.frames) - _COLUMNS))
    return [(at, start <= at <= end) for at in sample.frames[first : first + _COLUMNS]]


def moments_sheet(samples: Sequence[VideoSample], read: Callable[[VideoSample, float], bytes]) -> bytes:
    """JPEG. No words of the annotations are in it, only ids, tasks and seconds."""
    step = _SIDE + _CAPTION + _GAP
    sheet = Image.new("RGB", (_COLUMNS * (_SIDE + _GAP) + _GAP, len(samples) * (step + _CAPTION) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, sample in enumerate(samples):
        top = _GAP + row * (step + _CAPTION)
        draw.text((_GAP, top), f"{sample.id}  -  {sample.task}", _INK)
        for column, (at, inside) in enumerate(around(sample)):
            left = _GAP + column * (_SIDE + _GAP)
            picture = open_picture(read(sample, at)).resize((_SIDE, _SIDE))
            sheet.paste(picture, (left, top + _CAPTION))
            if inside:
                corner = (left, top + _CAPTION, left + _SIDE - 1, top + _CAPTION + _SIDE - 1)
                draw.rectangle(corner, outline=_MARK, width=3)
            draw.text((left, top + _CAPTION + _SIDE), f"{at:.1f} s", _MARK if inside else _INK)
    data = io.BytesIO()
    sheet.save(data, "JPEG", quality=85)
    return data.getvalue()
