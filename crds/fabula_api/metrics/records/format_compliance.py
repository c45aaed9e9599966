"""Whether an answer has the format that its prompt asks for."""

from fabula_api.metrics.record import Definition, Metric

_FUNCTION = "fabula_workloads.metrics.format_compliance:format_compliance"
METRIC = Metric(
    name="format-compliance",
    title="Format compliance",
    unit="share of answers that keep the prompt's format",
    shown=".3f",
    reads="format",
    better="higher",
    definitions={
        "v2": Definition("share of answers that break no rule of the prompt", _FUNCTION),
        "paper-v1": Definition("the same", _FUNCTION, published=False),
    },
    headline=True,
    place=60,
)
