"""How much of an answer was learned by heart."""

from fabula_api.metrics.record import Definition, Metric

METRIC = Metric(
    name="training-overlap",
    title="Training overlap",
    unit="share of word 8-grams that stand in the training set",
    shown=".4f",
    better="lower",
    over="evaluation",
    needs="trainingSet",
    by_default=False,
    definitions={
        "v2": Definition(
            "share of an answer's word 8-grams that stand in the targets of `trainingSet`, within passages",
            "fabula_workloads.metrics.training_overlap:training_overlap",
        )
    },
    place=85,
)
