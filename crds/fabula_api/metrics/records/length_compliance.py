"""Whether an answer is as long as was asked for."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="length-compliance",
    title="Length compliance",
    unit="share of answers within the length that is asked for",
    shown=".3f",
    better="higher",
    with_asked=True,
    needs="asked.words",
    definitions={
        "v2": Definition(
            "share of answers whose words, labels included, are within `asked.words`",
            "fabula_workloads.metrics.wishes:length_compliance",
        )
    },
    place=15,
)
