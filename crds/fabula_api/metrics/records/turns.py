"""How many turns an answer has."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="turns",
    title="Turns",
    unit="turns of an answer",
    shown=".1f",
    reads="dialogue",
    definitions={
        "v2": Definition(
            "turns under any common label: `Speaker 1:`, `**Host 1 (Alex):**`, `[Guest]:`, `Alex:`",
            "fabula_workloads.metrics.v2:num_turns",
        ),
        "paper-v1": Definition("turns under the published grammar", "fabula_workloads.metrics.paper_v1:num_turns"),
    },
    column="num_turns",
    place=50,
)
