"""How long an answer is."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="words",
    title="Words",
    unit="spoken words of an answer",
    shown=".1f",
    definitions={
        "v2": Definition("spoken words; labels do not count", "fabula_workloads.metrics.v2:words"),
        "paper-v1": Definition("all words, labels included", "fabula_workloads.metrics.paper_v1:words"),
    },
    place=10,
)
