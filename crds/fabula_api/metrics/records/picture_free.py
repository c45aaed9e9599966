"""Whether an answer says nothing of its pictures as pictures."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="picture-free",
    title="Free of picture words",
    unit="share of answers without a word that betrays the pictures",
    shown=".3f",
    better="higher",
    reads="pictures",
    with_asked=True,
    needs="asked.avoid",
    probes=("A boat leaves the harbour.", "In the first photo, a boat leaves; the next image shows gulls."),
    definitions={
        "v2": Definition(
            "share of answers in which `picture-words` is 0", "fabula_workloads.metrics.wishes:picture_free"
        )
    },
    place=64,
)
