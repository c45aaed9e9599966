"""How each arm's answers ended, one bar an arm: what keeps the format, what breaks it, what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from html import escape

from fabula_workloads.report.charts import short

_WIDTH, _LEFT, _ROW, _BAR, _TOP, _LEGEND = 740, 96, 34, 20, 4, 26
_CLASSES = ("kept", "broke", "unread", "missing")
_NAMES = ("keeps the format", "breaks a rule", "unparseable", "not generated")


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """Counts of one arm's answers."""

    label: str
    kept: int
    broke: int
    unread: int
    missing: int


def outcome_chart(rows: Sequence[OutcomeRow]) -> str:
    """Stacked bars, all of one length, with the counts in them and a legend of what occurs."""
    height = _TOP + _ROW * len(rows) + _LEGEND
    parts = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="How the answers ended">']
    seen = [False] * len(_CLASSES)
    for index, row in enumerate(rows):
        y, x = _TOP + _ROW * index, float(_LEFT)
        counts: tuple[int, ...] = astuple(row)[1:]
        total = sum(counts) or 1
        parts.append(f'<text class="arm" x="{_LEFT - 10}" y="{y + 15}">{escape(short(row.label))}</text>')
        for kind, count in enumerate(counts):
            if not count:
                continue
            seen[kind] = True
            width = (_WIDTH - _LEFT) * count / total
            parts.append(
                f'<rect class="{_CLASSES[kind]}" x="{x:.1f}" y="{y}" width="{width - 2:.1f}" height="{_BAR}" rx="4"/>'
            )
            parts.append(f'<text class="count" x="{x + width / 2:.1f}" y="{y + 14.5}">{count}</text>')
            x += width
    at, y = float(_LEFT), _TOP + _ROW * len(rows) + 14
    for kind in (kind for kind, occurs in enumerate(seen) if occurs):
        parts.append(f'<rect class="{_CLASSES[kind]}" x="{at}" y="{y - 9}" width="10" height="10" rx="3"/>')
        parts.append(f'<text class="legend" x="{at + 16}" y="{y}">{_NAMES[kind]}</text>')
        at += 36 + 7.2 * len(_NAMES[kind])
    return "".join([*parts, "</svg>"])
