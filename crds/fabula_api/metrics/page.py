"""`docs/metrics.md`: every metric with its definitions, and what to do to add one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fabula_api.metrics.record import PROFILES, Metric

_ADD = """\
## To add one

1. Add a few texts with the figures that they must get, worked out by hand, to the table in
   `tests/unit/workloads/test_metrics_wishes.py`.
2. Add a file to `crds/fabula_api/metrics/records` with a `METRIC`: a `Metric` record, whose definition names a function
   as `module:function`. The function takes a `Reading` (the text, and in `passages` what is said, without labels) and
   gives a figure, or None where the text has none. It stands beside the others in `fabula_workloads/metrics`, whose
   sentences, words and tokens come from `fabula_workloads/text`. One that needs turns says `reads="dialogue"` and takes
   a `Dialogue`; one that needs a model, or all answers at once, `over="evaluation"` and takes `Materials`. One that
   gives the two texts of `metrics/self_tests.py` the same figure, as a rare thing's share may, names two others in
   `probes`.
3. `make generate`. Schema, this page, tables, report, status and self-tests follow from the record.

A recipe brings its own metrics in its `Recipe.metrics`. They are called `recipe/metric`, so that no CRD has to know
them; the operator refuses a name that the recipe does not have.

Each metric of a text must give two unrelated texts different figures, and one that is `continuous` must tell apart what
the arms really said. No gate rests on a metric that failed.
"""


def page(metrics: Mapping[str, Metric]) -> str:
    """The page."""
    lines = [
        "# Metrics",
        "",
        "Generated from the records in `crds/fabula_api/metrics`. How means, intervals and gates come out of the",
        "figures is in [how an evaluation is measured](evaluation.md). A passage is a turn of a dialogue; of a recipe",
        "without turns, the whole answer.",
        "",
        *_overview(metrics),
        "",
        "## Definitions",
        "",
        *_definitions(metrics),
        "",
        _ADD,
    ]
    return "\n".join(lines)


def _overview(metrics: Mapping[str, Metric]) -> Iterator[str]:
    yield "| metric | | a figure says | better | looks at |"
    yield "|---|---|---|---|---|"
    for metric in metrics.values():
        seen = "each answer" if metric.over == "answer" else "all answers at once"
        yield f"| `{metric.name}` | {metric.title} | {metric.unit} | {metric.better or ''} | {seen} |"


def _definitions(metrics: Mapping[str, Metric]) -> Iterator[str]:
    yield f"| metric | {' | '.join(f'`{name}`' for name in PROFILES)} |"
    yield f"|---|{'---|' * len(PROFILES)}"
    for metric in metrics.values():
        meanings = [metric.definitions[name].about if name in metric.definitions else "" for name in PROFILES]
        yield f"| `{metric.name}` | {' | '.join(meanings)} |"
