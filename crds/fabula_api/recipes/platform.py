"""Stages that the platform brings, for any recipe to take as they are: looking things up, training, evaluation."""

from __future__ import annotations

from fabula_api.recipes.records import Paid, Stage
from fabula_api.summary import ScoreSummary, TrainSummary

RESOLVE = "resolve"
"""Name of the stage that finds out the digests of what a run reads from outside."""


def resolve(*reads: str) -> Stage:
    """That stage; `reads` are the fields that name what it looks up."""
    return Stage(
        RESOLVE,
        "single",
        runs="fabula_workloads.stages.resolve:run",
        reads=reads,
        resolves=True,
        commits=False,
        unit="input",
    )


TRAINING = (
    resolve("dataset", "model"),
    Stage(
        "train",
        "group",
        runs="fabula_workloads.stages.train:run",
        # Not how many ranks, nor what each of them holds: a run goes on from a checkpoint with other ones.
        reads=("model", "lora", "decisive_training", "pixels", "topology.device", "decisive_template"),
        after=(RESOLVE,),
        external=("dataset", "model"),
        makes=("adapter", "model"),
        device="topology.device",
        resources="resources",
        version=3,
        summary=TrainSummary,
        unit="step",
    ),
)
"""Training of a model on a dataset artifact."""
EVALUATION = (
    resolve("arms", "metrics", "clip_model", "embedding_model", "training_set", "human_verdicts"),
    Stage(
        "select",
        "single",
        runs="fabula_workloads.stages.select:run",
        reads=("samples",),
        external=("samples",),
        makes=("sample-set",),
        by_content=True,
        version=3,
        unit="sample",
    ),
    Stage(
        "infer",
        "sharded",
        runs="fabula_workloads.stages.infer:run",
        reads=("prompt", "pixels", "generation", "engine"),
        after=(RESOLVE, "select"),
        external=("model", "adapter"),
        shards="shards",
        shared=True,
        resources="resources",
        for_each="arms",
        version=3,
        unit="answer",
    ),
    Stage(
        "judge",
        "sharded",
        runs="fabula_workloads.stages.judge:run",
        reads=(
            "baseline",
            *(
                f"each.{name}"
                for name in ("provider", "model", "rubric", "pairs", "tries", "probes", "max_tokens", "temperature")
            ),
        ),
        extent=("budget",),
        after=("select", "infer"),
        shards="each.shards",
        for_each="judges",
        entry_key="fabula_api.judging:asked_of_judge",
        paid=Paid(
            when=("each.provider", ("bedrock", "openai")),
            model="each.model",
            region="each.region",
            quota="each.quota",
            concurrency="each.concurrency",
            reply_tokens="each.max_tokens",
            entry_usd="fabula_api.judging:judge_usd",
        ),
        unit="verdict",
    ),
    Stage(
        "score",
        "single",
        runs="fabula_workloads.stages.score:run",
        reads=(
            "arms",
            "baseline",
            "metrics",
            "profiles",
            "clip_model",
            "embedding_model",
            "training_set",
            "asked",
            "gates",
        ),
        after=(RESOLVE, "select", "infer", "judge"),
        external=("clipModel", "embeddingModel", "trainingSet", "humanVerdicts"),
        makes=("report",),
        version=3,
        summary=ScoreSummary,
        unit="metric",
    ),
)
"""Answers of all arms to a set of samples, scored."""
