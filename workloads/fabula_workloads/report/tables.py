"""The published evaluation's two CSV tables, with its column names, so that its notebooks read ours."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from fabula_api.metrics import Metric, ProfileName
from fabula_workloads.metrics.evaluation import Evaluation


def samples_csv(evaluation: Evaluation, profile: ProfileName, samples: Iterable[str]) -> str:
    """One row for each sample: `sample`, then each metric for each arm (`words_base`, `words_finetuned`, ...).

    The figures are means over seeds, unrounded; a cell is empty where there is no figure.
    """
    arms, metrics = evaluation.arms, _in_order(evaluation, profile)
    header = ["sample", *(f"{metric.csv_column}_{arm.name}" for metric in metrics for arm in arms)]
    rows = [
        [sample, *(_cell(arm.samples[profile, metric.name].get(sample)) for metric in metrics for arm in arms)]
        for sample in samples
    ]
    return _csv(header, rows)


def summary_csv(evaluation: Evaluation, profile: ProfileName) -> str:
    """One row for each metric: its mean for each arm, and each arm's difference from the baseline."""
    others = [arm for arm in evaluation.arms if arm.name != evaluation.baseline]
    differences = ["Difference"] if len(others) == 1 else [f"Difference {arm.name}" for arm in others]
    rows = []
    for metric in _in_order(evaluation, profile):
        means = [arm.means[profile, metric.name].mean for arm in evaluation.arms]
        deltas = [evaluation.difference(profile, arm.name, metric.name) for arm in others]
        cells = [*means, *(delta.estimate.mean if delta else None for delta in deltas)]
        rows.append([metric.name, *("" if value is None else format(value, metric.shown) for value in cells)])
    return _csv(["Metric", *(arm.name for arm in evaluation.arms), *differences], rows)


def results_parquet(evaluation: Evaluation) -> bytes:
    """As `results_csv`, with types; figures that there are none of are null."""
    import pyarrow
    from pyarrow import parquet

    metrics = evaluation.metrics_under(evaluation.profile)
    answers, profile = evaluation.answers, evaluation.profile
    columns: dict[str, list[object]] = {
        "arm": [m.answer.arm for m in answers],
        "sample": [m.answer.sample for m in answers],
        "seed": [m.answer.seed for m in answers],
        "outcome": ["failed" if m.answer.text is None else "ok" for m in answers],
        "reason": [m.answer.reason or None for m in answers],
        "parseable": [m.parseable.get(profile, False) for m in answers],
        "violation": [m.violation for m in answers],
        "tokens": [m.answer.tokens for m in answers],
        "seconds": [m.answer.seconds for m in answers],
        "finish": [m.answer.finish for m in answers],
    }
    texts = {"reason", "violation"}
    table = {
        name: pyarrow.array(values, pyarrow.string() if name in texts else None) for name, values in columns.items()
    }
    for metric in metrics:
        table[metric.csv_column] = pyarrow.array([m.values[profile][metric.name] for m in answers], pyarrow.float64())
    written = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(table), written)
    return bytes(written.getvalue())


def _in_order(evaluation: Evaluation, profile: ProfileName) -> list[Metric]:
    """The metrics that the published tables have, in their order, before the others."""
    return sorted(evaluation.metrics_under(profile), key=lambda metric: not metric.definitions[profile].published)


def results_csv(evaluation: Evaluation) -> str:
    """One row for each answer: how it ended, and its figures under the first profile."""
    metrics = evaluation.metrics_under(evaluation.profile)
    header = ["arm", "sample", "seed", "outcome", "reason", "parseable", "violation", "tokens", "seconds", "finish"]
    rows = [
        [
            m.answer.arm, m.answer.sample, str(m.answer.seed), "failed" if m.answer.text is None else "ok",
            m.answer.reason, str(m.parseable.get(evaluation.profile, False)).lower(), m.violation or "",
            str(m.answer.tokens), repr(m.answer.seconds), m.answer.finish,
            *(_cell(m.values[evaluation.profile][metric.name]) for metric in metrics),
        ]
        for m in evaluation.answers
    ]  # fmt: skip
    return _csv([*header, *(metric.csv_column for metric in metrics)], rows)


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def _csv(header: list[str], rows: Iterable[list[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()
