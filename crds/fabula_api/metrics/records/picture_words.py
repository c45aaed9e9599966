"""How often an answer speaks of its pictures as pictures."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="picture-words",
    title="Picture words",
    unit="words of an answer that betray the pictures",
    shown=".2f",
    better="lower",
    reads="pictures",
    with_asked=True,
    needs="asked.avoid",
    probes=("A boat leaves the harbour.", "In the first photo, a boat leaves; the next image shows gulls."),
    definitions={
        "v2": Definition(
            "occurrences of the words in `asked.avoid`, whole words of any case",
            "fabula_workloads.metrics.wishes:picture_words",
        )
    },
    place=62,
)
