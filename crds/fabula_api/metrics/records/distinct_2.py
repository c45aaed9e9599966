"""How varied an answer's wording is."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="distinct-2",
    title="Distinct-2",
    unit="share of distinct bigrams",
    shown=".4f",
    better="higher",
    continuous=True,
    definitions={
        "v2": Definition("distinct bigrams within passages", "fabula_workloads.metrics.v2:distinct_2"),
        "paper-v1": Definition(
            "distinct bigrams over the whole text, labels included", "fabula_workloads.metrics.paper_v1:distinct_2"
        ),
    },
    column="distinct2",
    place=20,
)
