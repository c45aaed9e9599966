"""How often an answer repeats its own words."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="repetition",
    title="Repetition",
    unit="share of word 4-grams that an answer has had before",
    shown=".4f",
    better="lower",
    probes=(
        "Speaker 1: The boat leaves the harbour at noon.\n\nSpeaker 2: The gulls follow it out to sea.",
        "Speaker 1: The boat leaves the harbour at noon.\n\nSpeaker 2: The boat leaves the harbour at noon.",
    ),
    definitions={
        "v2": Definition(
            "1 - distinct / all word 4-grams within passages (seq-rep-4)",
            "fabula_workloads.metrics.repetition:repetition",
        )
    },
    place=24,
)
