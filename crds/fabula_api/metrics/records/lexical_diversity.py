"""How rich an answer's vocabulary is, whatever its length."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="lexical-diversity",
    title="Lexical diversity",
    unit="share of different words among 42 drawn (HD-D)",
    shown=".4f",
    better="higher",
    continuous=True,
    definitions={
        "v2": Definition(
            "HD-D: expected share of different words among 42 drawn from an answer; does not depend on length",
            "fabula_workloads.metrics.diversity:hd_d",
        )
    },
    place=22,
)
