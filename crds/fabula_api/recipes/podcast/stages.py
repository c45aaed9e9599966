"""The stages of the recipe `podcast`, by kind."""

from __future__ import annotations

from fabula_api.asked import Asked, AskedWords
from fabula_api.recipes.platform import EVALUATION, RESOLVE, TRAINING, resolve
from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_api.recipes.records import Figure, Paid, ReadModel, Recipe, SampleFormat, Stage
from fabula_api.summary import DatasetSummary, EstimateSummary

_INGEST = Stage(
    "ingest",
    "single",
    runs="fabula_workloads.recipes.podcast.ingest:run",
    reads=("podcast.source",),
    makes=("episodes",),
    by_content=True,
    version=2,
    unit="episode",
)
MOST_PICTURES = 6
"""Of one sample, as `podcast.images.perSample` has it."""


def _fields(block: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{block}.{name}" for name in names)


PODCAST = Recipe(
    name="podcast",
    # The published evaluation asks for around 800 words, and counts what is 100 off as missed.
    asked=Asked(
        words=AskedWords(min=700, max=900),
        avoid=["image", "images", "picture", "pictures", "photo", "photos", "photograph", "photographs"],
    ),
    parts="fabula_workloads.recipes.podcast.parts:PARTS",
    evaluation="fabula_workloads.recipes.podcast.evaluation:EVALUATION",
    sample_formats=(
        SampleFormat("vist", "VIST's annotations with a picture folder beside them"),
        SampleFormat("directories", "a folder of sample folders"),
    ),
    offers=("text", "pictures", "dialogue", "format"),
    specs={"DatasetBuild": PodcastBuildSpec},
    fixed={
        "DatasetBuild": (
            "podcast.source",
            *_fields("podcast.extraction", "provider", "model", "words"),
        )
    },
    examples={
        "DatasetBuild": {"podcast": {"source": {"uri": "transcripts/episodes.jsonl.gz"}}},
        "FineTuneRun": {
            "dataset": {"ref": "stories"},
            "model": {"name": "Qwen/Qwen3-VL-8B-Instruct"},
            "topology": {"nodes": 1, "gpusPerNode": 1, "product": "NVIDIA-A100-SXM4-80GB"},
        },
        "EvalRun": {
            "samples": {"uri": "vist", "format": "vist"},
            "arms": [
                {"name": "base", "model": {"name": "Qwen/Qwen3-VL-8B-Instruct"}},
                {"name": "finetuned", "model": {"name": "Qwen/Qwen3-VL-8B-Instruct"}, "adapter": {"ref": "stories"}},
            ],
        },
    },
    models={
        "DatasetBuild": (
            ReadModel("imageModel", "podcast.images.model", when=("podcast.images.provider", ("diffusers",))),
        )
    },
    stages={
        "DatasetBuild": (
            resolve("podcast.images.provider", "podcast.images.model"),
            _INGEST,
            Stage(
                "extract",
                "sharded",
                runs="fabula_workloads.recipes.podcast.extract:run",
                reads=(
                    *_fields(
                        "podcast.extraction",
                        *("provider", "model", "words", "max_excerpts", "max_tokens", "min_verbatim_ratio"),
                    ),
                    "podcast.images.per_sample",
                ),
                extent=("target.samples", "budget", "retry_failed"),
                after=("ingest",),
                shards="podcast.extraction.workers",
                resources="podcast.extraction.resources",
                paid=Paid(
                    when=("podcast.extraction.provider", ("bedrock",)),
                    model="podcast.extraction.model",
                    region="podcast.extraction.region",
                    quota="podcast.extraction.quota",
                    concurrency="podcast.extraction.concurrency",
                    reply_tokens="podcast.extraction.max_tokens",
                    limit_usd="extraction_usd",
                ),
                figures=(Figure("verbatimRatio", "verbatim/found", per="verbatim/grams"),),
                version=2,
                unit="episode",
            ),
            Stage(
                "illustrate",
                "sharded",
                runs="fabula_workloads.recipes.podcast.illustrate:run",
                reads=_fields(
                    "podcast.images",
                    *("provider", "model", "bedrock_model", "per_sample"),
                    *("aspect_ratio", "width", "steps", "guidance_scale", "seed"),
                ),
                # How many more are drawn depends on how many pictures make a sample complete.
                extent=("target.samples", "budget", "retry_failed", "podcast.images.require"),
                after=(RESOLVE, "ingest", "extract"),
                external=("imageModel",),
                shards="podcast.images.workers",
                device="podcast.images.device",
                remote_when=("podcast.images.provider", ("bedrock",)),
                resources="podcast.images.resources",
                paid=Paid(
                    when=("podcast.images.provider", ("bedrock",)),
                    model="podcast.images.bedrock_model",
                    region="podcast.images.region",
                    quota="podcast.images.quota",
                    concurrency="podcast.images.concurrency",
                ),
                skip_unless=("podcast.images.provider", ("bedrock", "diffusers")),
                version=2,
                unit="image",
            ),
            Stage(
                "assemble",
                "single",
                runs="fabula_workloads.recipes.podcast.assemble:run",
                reads=("podcast.split", "target", "podcast.images.require", "podcast.images.per_sample"),
                after=("ingest", "extract", "illustrate"),
                makes=("dataset",),
                version=4,
                summary=DatasetSummary,
                # How many samples have how many pictures.
                figures=tuple(Figure(f"samplesWith{n}Pictures", f"pictures/{n}") for n in range(MOST_PICTURES + 1)),
                unit="sample",
            ),
        ),
        "FineTuneRun": TRAINING,
        "EvalRun": EVALUATION,
    },
    dry_run={
        "DatasetBuild": (
            _INGEST,
            Stage(
                "estimate",
                "single",
                runs="fabula_workloads.recipes.podcast.estimate:run",
                reads=("podcast.extraction", "podcast.images", "prices", "target"),
                after=("ingest",),
                unit="episode",
                summary=EstimateSummary,
                estimates=True,
                commits=False,
            ),
        ),
    },
)
