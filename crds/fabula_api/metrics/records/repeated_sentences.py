"""How often an answer repeats whole sentences."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="repeated-sentences",
    title="Repeated sentences",
    unit="share of sentences that an answer has had before",
    shown=".4f",
    better="lower",
    # Where an answer has no turns, a label is part of the sentence behind it.
    probes=(
        "Speaker 1: Listen. The boat leaves at noon.\n\nSpeaker 2: Look. The gulls follow it out.",
        "Speaker 1: Listen. The boat leaves at noon.\n\nSpeaker 2: Look. The boat leaves at noon.",
    ),
    definitions={
        "v2": Definition(
            "share of sentences of three words or more that were said before, case and punctuation aside",
            "fabula_workloads.metrics.repetition:repeated_sentences",
        )
    },
    place=26,
)
