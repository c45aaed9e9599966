"""How long one speaker goes on."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="turn-length",
    title="Turn length",
    unit="mean words of a turn",
    shown=".1f",
    reads="dialogue",
    continuous=True,
    definitions={
        "v2": Definition("mean words of a turn", "fabula_workloads.metrics.v2:turn_length"),
        "paper-v1": Definition("the same; 0 without turns", "fabula_workloads.metrics.paper_v1:turn_length"),
    },
    column="avg_turn_length",
    place=30,
)
