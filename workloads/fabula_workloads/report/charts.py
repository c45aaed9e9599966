"""Small charts as inline SVG: every arm's samples as faint dots, its mean and 95 % interval above them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from fabula_workloads.metrics.bootstrap import Estimate

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP, _AXIS = 360, 96, 64, 30, 6, 22
BESIDE = 13
"""Letters of a label that fit beside a chart; longer ones stand above their rows."""
_ABOVE = 16
"""Height of a label above its row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One arm in a chart. `color` is its index among the arms."""

    label: str
    color: int
    estimate: Estimate
    values: Sequence[float]


def chart(rows: Sequence[Row], written: str, title: str) -> str:
    """The chart of one metric; `written` is the format of its figures. Colours come from the page's style."""
    shown = [value for row in rows for value in (*row.values, row.estimate.low, row.estimate.high) if value is not None]
    ticks = nice_ticks(min([*shown, 0.0]) if shown else 0.0, max([*shown, 0.0]) if shown else 1.0)
    low, high = ticks[0], ticks[-1]
    above = any(len(row.label) > BESIDE for row in rows)
    left, step = (10, _ROW + _ABOVE) if above else (_LEFT, _ROW)
    span = _WIDTH - left - _RIGHT
    bottom = _TOP + step * len(rows)

    def x(value: float) -> str:
        return f"{left + (value - low) / (high - low) * span:.1f}"

    box = f"0 0 {_WIDTH} {bottom + _AXIS}"
    parts = [f'<svg class="chart" viewBox="{box}" role="img" aria-label="{escape(title, quote=True)}">']
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{x(tick)}" x2="{x(tick)}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x(tick)}" y="{bottom + 15}">{tick:g}</text>')
    for index, row in enumerate(rows):
        y = _TOP + step * (index + 1) - _ROW / 2
        label = escape(short(row.label) if above else row.label)
        where = (
            f'class="arm above" x="0" y="{y - _ROW / 2 + 2}"' if above else f'class="arm" x="{left - 10}" y="{y + 4}"'
        )
        parts.append(f"<text {where}>{label}</text>")
        parts += [f'<circle class="dot c{row.color}" cx="{x(value)}" cy="{y}" r="3"/>' for value in row.values]
        estimate = row.estimate
        if estimate.low is not None and estimate.high is not None:
            parts.append(
                f'<line class="whisker c{row.color}" x1="{x(estimate.low)}" x2="{x(estimate.high)}" y1="{y}" y2="{y}"/>'
            )
        if estimate.mean is None:
            parts.append(f'<text class="none" x="{left + 4}" y="{y + 4}">no figure</text>')
        else:
            parts.append(f'<circle class="mean c{row.color}" cx="{x(estimate.mean)}" cy="{y}" r="5"/>')
            parts.append(
                f'<text class="figure" x="{_WIDTH - _RIGHT + 12}" y="{y + 4}">{estimate.mean:{written}}</text>'
            )
    return "".join([*parts, "</svg>"])


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """About `about` round numbers that span `low` to `high`."""
    if high <= low:
        high = low + 1
    rough = (high - low) / about
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(index * step, 10) for index in range(first, last + 1)]


def short(label: str, limit: int = 56) -> str:
    """A label that fits above a chart: what tells two long ones apart is most often at their ends."""
    half = (limit - 1) // 2
    return label if len(label) <= limit else f"{label[:half]}…{label[-half:]}"
