"""The dataset's figures as a picture: what it holds in large numbers, and how samples spread over length and pictures.

Drawn from counts alone, without a date or a place: equal datasets have equal pictures.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set

from PIL import Image, ImageDraw, ImageFont

from fabula_workloads.recipes.podcast.dataset.samples import Sample

FIGURES = "figures.png"
PAPER, INK, FAINT = (250, 249, 246), (38, 42, 51), (128, 133, 143)
_LINE, _TRAIN, _VALIDATION = (221, 219, 212), (47, 93, 138), (233, 150, 64)
_SIZE = (1316, 436)
_MARGIN, _TOP, _FLOOR, _GUTTER = 46, 206, 370, 60
_MOST_BARS = 24


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of the card's pictures; it comes with the imaging library."""
    return ImageFont.load_default(size)


def figures(samples: Sequence[Sample], validation: Set[str]) -> bytes:
    """The picture as PNG. Raises ValueError for no samples."""
    if not samples:
        raise ValueError("figures need a sample")
    sheet = Image.new("RGB", _SIZE, PAPER)
    draw = ImageDraw.Draw(sheet)
    _headline(draw, samples, validation)
    width = bin_width([sample.words for sample in samples])
    lengths = _both(samples, validation, lambda sample: sample.words // width * width)
    bins = range(min(lengths), max(lengths) + 1, width)
    split = round(_SIZE[0] * 0.68)
    words = {f"{low:,}": lengths.get(low, (0, 0)) for low in bins}
    _bars(draw, (_MARGIN, split - _GUTTER), "words a sample, from", words)
    pictures = _both(samples, validation, lambda sample: len(sample.pictures))
    counts = range(min(pictures), max(pictures) + 1)
    _bars(
        draw,
        (split, _SIZE[0] - _MARGIN),
        "pictures a sample",
        {str(count): pictures.get(count, (0, 0)) for count in counts},
    )
    data = io.BytesIO()
    sheet.quantize(64).save(data, "PNG", optimize=True)
    return data.getvalue()


def bin_width(words: Sequence[int]) -> int:
    """Width of the bars over lengths: 25, 50, 100, ... words, the smallest of which there are not too many."""
    width = 25
    while max(words) // width - min(words) // width >= _MOST_BARS:
        width *= 2
    return width


def _both(
    samples: Sequence[Sample], validation: Set[str], key: Callable[[Sample], int]
) -> Mapping[int, tuple[int, int]]:
    """(samples for training, for validation) by what `key` gives of a sample."""
    split = [Counter[int](), Counter[int]()]
    for sample in samples:
        split[sample.podcast in validation][key(sample)] += 1
    return {value: (split[0][value], split[1][value]) for value in split[0] | split[1]}


def _headline(draw: ImageDraw.ImageDraw, samples: Sequence[Sample], validation: Set[str]) -> None:
    num_validation = sum(sample.podcast in validation for sample in samples)
    shown = [
        (len(samples), "samples", INK),
        (sum(len(sample.pictures) for sample in samples), "pictures", INK),
        (sum(sample.words for sample in samples), "words", INK),
        (len({sample.podcast for sample in samples}), "podcasts", INK),
        (len(samples) - num_validation, "for training", _TRAIN),
        (num_validation, "for validation", _VALIDATION),
    ]
    step = (_SIZE[0] - 2 * _MARGIN) / len(shown)
    for place, (figure, name, colour) in enumerate(shown):
        left = _MARGIN + round(place * step)
        draw.text((left, 68), f"{figure:,}", colour, font(46), anchor="ls")
        draw.text((left + 2, 98), name, FAINT, font(20), anchor="ls")
    draw.line((_MARGIN, 128, _SIZE[0] - _MARGIN, 128), _LINE, 2)


def _bars(draw: ImageDraw.ImageDraw, across: tuple[int, int], title: str, bars: Mapping[str, tuple[int, int]]) -> None:
    """Stacked bars, those for training below, each with how many they are."""
    left, right = across
    draw.text((left, 170), title, INK, font(22), anchor="ls")
    top = max(sum(bar) for bar in bars.values())
    step = min(120.0, (right - left) / len(bars))
    draw.line((left, _FLOOR, right, _FLOOR), _LINE, 2)
    labels = 1 + len(bars) // 13
    for place, (label, bar) in enumerate(bars.items()):
        start, end = left + round(place * step), left + round((place + 1) * step) - max(3, round(step * 0.16))
        base = _FLOOR
        for amount, colour in zip(bar, (_TRAIN, _VALIDATION), strict=True):
            if amount:
                height = max(2, round((_FLOOR - _TOP) * amount / top))
                draw.rectangle((start, base - height, end, base - 1), colour)
                base -= height
        middle = (start + end) / 2
        if sum(bar) and step > 22:
            draw.text((middle, base - 7), f"{sum(bar):,}", FAINT, font(15), anchor="ms")
        if place % labels == 0:
            draw.text((middle, _FLOOR + 24), label, FAINT, font(16), anchor="ms")
