"""The stages of the recipe `podcast`, by kind."""

from __future__ import annotations

from fabula_api.recipes.records import Recipe, Stage

_INGEST = Stage(
    "ingest",
    "single",
    runs="fabula_workloads.recipes.podcast.ingest:run",
    reads=("source",),
    makes=("episodes",),
    by_content=True,
    version=2,
    unit="episode",
)
_RESOLVE = "resolve"


def _resolve(*reads: str) -> Stage:
    return Stage(
        _RESOLVE,
        "single",
        runs="fabula_workloads.stages.resolve:run",
        reads=reads,
        resolves=True,
        commits=False,
        unit="input",
    )


PODCAST = Recipe(
    name="podcast",
    parts="fabula_workloads.recipes.podcast.parts:PARTS",
    stages={
        "DatasetBuild": (
            _resolve("images.provider", "images.model"),
            _INGEST,
            Stage(
                "extract",
                "sharded",
                runs="fabula_workloads.recipes.podcast.extract:run",
                reads=(
                    "extraction.provider", "extraction.model", "extraction.words", "extraction.max_excerpts",
                    "extraction.max_tokens", "extraction.min_verbatim_ratio", "images.per_sample",
                ),
                extent=("target.samples", "budget", "retry_failed"),
                after=("ingest",),
                shards="extraction.workers",
                resources="extraction.resources",
                version=2,
                unit="episode",
            ),
            Stage(
                "illustrate",
                "sharded",
                runs="fabula_workloads.recipes.podcast.illustrate:run",
                reads=(
                    "images.provider", "images.model", "images.bedrock_model", "images.per_sample",
                    "images.aspect_ratio", "images.width", "images.steps", "images.guidance_scale", "images.seed",
                ),
                # How many more are drawn depends on how many pictures make a sample complete.
                extent=("target.samples", "budget", "retry_failed", "images.require"),
                after=(_RESOLVE, "ingest", "extract"),
                external=("imageModel",),
                shards="images.workers",
                device="images.device",
                remote_when=("images.provider", ("bedrock",)),
                resources="images.resources",
                skip_unless=("images.provider", ("bedrock", "diffusers")),
                version=2,
                unit="image",
            ),
            Stage(
                "assemble",
                "single",
                runs="fabula_workloads.recipes.podcast.assemble:run",
                reads=("split", "target", "images.require", "images.per_sample"),
                after=("ingest", "extract", "illustrate"),
                makes=("dataset",),
                version=4,
                unit="sample",
            ),
        ),
        "FineTuneRun": (
            _resolve("dataset", "model"),
            Stage(
                "train",
                "group",
                runs="fabula_workloads.stages.train:run",
                # Not how many ranks, nor what each of them holds: a run goes on from a checkpoint with other ones.
                reads=("model", "lora", "decisive_training", "pixels", "topology.device", "decisive_template"),
                after=(_RESOLVE,),
                external=("dataset", "model"),
                makes=("adapter", "model"),
                device="topology.device",
                resources="resources",
                version=3,
                unit="step",
            ),
        ),
        "EvalRun": (
            _resolve("arms", "metrics", "clip_model"),
            Stage(
                "select",
                "single",
                runs="fabula_workloads.stages.select:run",
                reads=("samples",),
                makes=("sample-set",),
                by_content=True,
                version=3,
                unit="sequence",
            ),
            Stage(
                "infer",
                "sharded",
                runs="fabula_workloads.stages.infer:run",
                reads=("prompt", "pixels", "generation", "engine"),
                after=(_RESOLVE, "select"),
                external=("model", "adapter"),
                shards="shards",
                resources="resources",
                for_each="arms",
                version=3,
                unit="answer",
            ),
            Stage(
                "score",
                "single",
                runs="fabula_workloads.stages.score:run",
                reads=("arms", "baseline", "metrics", "profiles", "clip_model", "gates"),
                after=(_RESOLVE, "select", "infer"),
                external=("clipModel",),
                makes=("report",),
                version=2,
                unit="metric",
            ),
        ),
    },
    dry_run={
        "DatasetBuild": (
            _INGEST,
            Stage(
                "estimate",
                "single",
                runs="fabula_workloads.recipes.podcast.estimate:run",
                reads=("extraction", "images", "prices", "target"),
                after=("ingest",),
                unit="episode",
                commits=False,
            ),
        ),
    },
)  # fmt: skip
