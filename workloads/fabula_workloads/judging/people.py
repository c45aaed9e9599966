"""What people said of the same answers: CSV files with one row for each verdict."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from fabula_workloads.judging.agreement import Item
from fabula_workloads.judging.ballots import TIE
from fabula_workloads.runtime.failures import InputInvalid

_NEEDED = ("sample", "arm", "versus", "verdict")
_MOST_BYTES = 16 * 1024 * 1024


def human_outcomes(files: Mapping[str, bytes], pairs: Sequence[tuple[str, str]], seed: int) -> dict[Item, str]:
    """Outcome of each item by the mean of its raters, of pairs that a judge was asked about; `seed` is that of rows
    without one. Raises InputInvalid naming the file, the line and what is wrong with it."""
    told: dict[Item, list[float]] = {}
    for name, content in sorted(files.items()):
        for line, row in _rows(name, content):
            item, value = _read(row, pairs, seed, f"{name} line {line}")
            if item is not None:
                told.setdefault(item, []).append(value)
    means = {item: sum(values) / len(values) for item, values in told.items()}
    return {item: "win" if mean > TIE else "loss" if mean < TIE else "tie" for item, mean in means.items()}


def _rows(name: str, content: bytes) -> Iterable[tuple[int, dict[str, str]]]:
    if len(content) > _MOST_BYTES:
        raise InputInvalid(f"humanVerdicts: {name} has {len(content):,} bytes; more than {_MOST_BYTES:,} are not read")
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        lacking = [column for column in _NEEDED if column not in (reader.fieldnames or ())]
        if lacking:
            raise InputInvalid(f"humanVerdicts: {name} has no column {lacking[0]}; it needs {', '.join(_NEEDED)}")
        yield from ((reader.line_num, row) for row in reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputInvalid(f"humanVerdicts: {name} is no CSV in UTF-8: {error}") from error


def _read(
    row: Mapping[str, str | None], pairs: Sequence[tuple[str, str]], seed: int, where: str
) -> tuple[Item | None, float]:
    sample, arm, versus, verdict = ((row.get(column) or "").strip() for column in _NEEDED)
    if verdict not in (arm, versus, "tie"):
        raise InputInvalid(f"humanVerdicts: {where}: verdict is {verdict!r}; write {arm}, {versus} or tie")
    given = (row.get("seed") or "").strip() or str(seed)
    if not given.isdigit():
        raise InputInvalid(f"humanVerdicts: {where}: seed is {given!r}, which is no number")
    value = TIE if verdict == "tie" else float(verdict == arm)
    if (arm, versus) in pairs:
        return (arm, versus, sample, int(given)), value
    return ((versus, arm, sample, int(given)) if (versus, arm) in pairs else None), 1 - value
