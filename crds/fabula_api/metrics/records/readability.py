"""How hard an answer is to read."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="readability",
    title="Readability",
    unit="LIX; below 30 is easy, above 50 hard",
    shown=".1f",
    continuous=True,
    definitions={
        "v2": Definition(
            "LIX: words a sentence + percentage of words of more than six letters",
            "fabula_workloads.metrics.readability:lix",
        )
    },
    place=55,
)
