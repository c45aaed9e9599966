"""The published evaluation's two CSV tables, with its column names, so that its notebooks read ours."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from fabula_workloads.metrics.evaluation import Evaluation

_COLUMNS = {
    "words": "words", "distinct-2": "distinct2", "turn-length": "avg_turn_length", "switch-rate": "switch_rate",
    "turns": "num_turns", "clip-score": "clipscore", "format-compliance": "format_compliance",
}  # fmt: skip
FORMATS = {
    "words": ".1f", "distinct-2": ".4f", "turn-length": ".1f", "switch-rate": ".1f", "turns": ".1f",
    "clip-score": ".2f", "format-compliance": ".3f",
}  # fmt: skip
"""How a figure of each metric is written for people."""


def samples_csv(evaluation: Evaluation, profile: str, samples: Iterable[str]) -> str:
    """One row for each sample: `sample`, then each metric for each arm (`words_base`, `words_finetuned`, ...).

    The figures are means over seeds, unrounded; a cell is empty where there is no figure.
    """
    arms = evaluation.arms
    header = ["sample", *(f"{_COLUMNS[metric]}_{arm.name}" for metric in evaluation.metrics for arm in arms)]
    rows = [
        [sample, *(_cell(arm.samples[profile, metric].get(sample)) for metric in evaluation.metrics for arm in arms)]
        for sample in samples
    ]
    return _csv(header, rows)


def summary_csv(evaluation: Evaluation, profile: str) -> str:
    """One row for each metric: its mean for each arm, and each arm's difference from the baseline."""
    others = [arm for arm in evaluation.arms if arm.name != evaluation.baseline]
    differences = ["Difference"] if len(others) == 1 else [f"Difference {arm.name}" for arm in others]
    rows = []
    for metric in evaluation.metrics:
        written = FORMATS[metric]
        means = [arm.means[profile, metric].mean for arm in evaluation.arms]
        deltas = [evaluation.difference(profile, arm.name, metric) for arm in others]
        cells = [*means, *(delta.mean if delta else None for delta in deltas)]
        rows.append([metric, *("" if value is None else format(value, written) for value in cells)])
    return _csv(["Metric", *(arm.name for arm in evaluation.arms), *differences], rows)


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def _csv(header: list[str], rows: Iterable[list[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()
