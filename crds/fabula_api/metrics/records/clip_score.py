"""How well an answer fits its pictures."""

from fabula_api.metrics.record import Definition, Metric

_FUNCTION = "fabula_workloads.metrics.grounding:clip_score"
METRIC = Metric(
    name="clip-score",
    title="CLIPScore",
    unit="100 x cosine between pictures and their best passage",
    shown=".2f",
    reads="pictures",
    better="higher",
    over="evaluation",
    continuous=True,
    definitions={
        "v2": Definition(
            "best passage for each picture, passages of whole sentences within what the model reads (CLIP: 77 tokens)",
            _FUNCTION,
        ),
        "paper-v1": Definition(
            "the text's first 500 characters, cut without the end token",
            _FUNCTION,
            defect="a known defect of the published definition, whose cut removes the end token, so every long text "
            "gets one figure",
        ),
    },
    column="clipscore",
    place=70,
)
