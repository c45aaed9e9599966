"""Whether an answer's passages follow from each other."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="coherence",
    title="Coherence",
    unit="mean cosine between neighbouring passages",
    shown=".3f",
    over="evaluation",
    continuous=True,
    needs="embeddingModel",
    by_default=False,
    definitions={
        "v2": Definition(
            "mean cosine of each passage with the next one, by `embeddingModel`",
            "fabula_workloads.metrics.coherence:coherence",
        )
    },
    place=80,
)
