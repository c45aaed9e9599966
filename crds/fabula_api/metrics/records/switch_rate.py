"""How often the word passes from one speaker to another."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="switch-rate",
    title="Switch rate",
    unit="changes of speaker for each 1,000 words",
    shown=".1f",
    reads="dialogue",
    definitions={
        "v2": Definition("changes of speaker for each 1,000 words", "fabula_workloads.metrics.v2:switch_rate"),
        "paper-v1": Definition("(turns - 1) for each 1,000 words", "fabula_workloads.metrics.paper_v1:switch_rate"),
    },
    place=40,
)
