"""The stages of the recipe `audio-description`, by kind."""

from __future__ import annotations

from dataclasses import replace

from fabula_api.recipes.audio_description.build import AudioDescriptionBuildSpec
from fabula_api.recipes.audio_description.measures import CRITIC, LLM_AD_EVAL, METRICS
from fabula_api.recipes.audio_description.tell import AudioDescriptionEvalSpec
from fabula_api.recipes.audio_description.tune import AudioDescriptionTuneSpec
from fabula_api.recipes.platform import EVALUATION, RESOLVE, TRAINING, resolve
from fabula_api.recipes.records import Column, Figure, ReadModel, Recipe, Stage
from fabula_api.summary import DatasetSummary

_WORK = "fabula_workloads.recipes.audio_description"
_RESOLVE, _TRAIN = TRAINING
_OWN_FILMS = ("reads_films", (True,))
_CHOICE = (
    "audio_description.sources",
    "audio_description.selection",
    "audio_description.max_words",
    "audio_description.split",
    "target",
)
"""What decides which rows are samples, of which split, and who is told of in them."""

_READS = {
    "resolve": ("audio_description.neighbours",),
    "infer": (
        "audio_description.beams",
        "audio_description.repetition_penalty",
        "audio_description.no_repeat_ngram",
    ),
    "score": ("audio_description.unit_seconds", "audio_description.neighbours"),
}
"""What stages of an evaluation read of the block."""

AUDIO_DESCRIPTION = Recipe(
    name="audio-description",
    parts=f"{_WORK}.parts:PARTS",
    training=f"{_WORK}.training:TRAINING",
    evaluation=f"{_WORK}.evaluation:EVALUATION",
    in_vllm=False,
    offers=("text",),
    usual_metrics=("words",),
    metrics=METRICS,
    rubrics=(LLM_AD_EVAL, CRITIC),
    specs={
        "DatasetBuild": AudioDescriptionBuildSpec,
        "FineTuneRun": AudioDescriptionTuneSpec,
        "EvalRun": AudioDescriptionEvalSpec,
    },
    fixed={"DatasetBuild": ("audio_description.sources",), "FineTuneRun": ("audio_description",)},
    # A narrator sees features and no pictures, has a prompt of its own for each clip, and is decoded by beam search.
    unused={
        "FineTuneRun": (
            "pixels",
            "training.method",
            "training.packing",
            "training.kernels",
            "lora.quantization",
            "lora.precision",
        ),
        "EvalRun": ("pixels", "prompt", "generation.temperature", "generation.top_p"),
    },
    models={
        "DatasetBuild": (ReadModel("encoder", "audio_description.encoder.model", when=("reads_films", (True,))),),
        "FineTuneRun": (
            ReadModel(
                "pretrained",
                "audio_description.pretrained",
                when=("audio_description.takes_pretrained", (True,)),
                made_by="FineTuneRun",
            ),
        ),
        "EvalRun": (
            ReadModel("neighboursModel", "audio_description.neighbours.model", when=("asks_neighbours", (True,))),
        ),
    },
    stages={
        "DatasetBuild": (
            resolve("audio_description.encoder.model"),
            Stage(
                "ingest",
                "single",
                runs=f"{_WORK}.ingest:run",
                reads=("audio_description.sources", "audio_description.max_bad_fraction"),
                makes=("narration",),
                by_content=True,
                unit="row",
            ),
            Stage(
                "frames",
                "sharded",
                runs=f"{_WORK}.films.frames:run",
                reads=(
                    "film_sources",
                    "audio_description.films.fps",
                    "audio_description.films.side",
                ),
                after=("ingest",),
                shards="audio_description.films.workers",
                resources="audio_description.films.resources",
                skip_unless=_OWN_FILMS,
                unit="film",
            ),
            Stage(
                "embed",
                "sharded",
                runs=f"{_WORK}.films.embed:run",
                reads=("film_sources", "audio_description.films.fps"),
                after=(RESOLVE, "ingest", "frames"),
                external=("encoder",),
                shards="audio_description.encoder.workers",
                device="audio_description.encoder.device",
                resources="audio_description.encoder.resources",
                skip_unless=_OWN_FILMS,
                unit="film",
            ),
            Stage(
                "collect",
                "sharded",
                runs=f"{_WORK}.collect:run",
                reads=("audio_description.sources", "audio_description.films.fps", "audio_description.films.shown"),
                after=("ingest", "frames", "embed"),
                shards="audio_description.workers",
                resources="audio_description.resources",
                unit="film",
            ),
            Stage(
                "refine",
                "single",
                runs=f"{_WORK}.refine:run",
                reads=_CHOICE,
                after=("ingest", "embed", "collect"),
                makes=("refinement",),
                resources="audio_description.resources",
                skip_unless=("learns_who", (True,)),
                unit="film",
            ),
            Stage(
                "assemble",
                "single",
                runs=f"{_WORK}.assemble:run",
                reads=_CHOICE,
                after=("ingest", "embed", "collect", "refine"),
                makes=("dataset",),
                version=3,
                summary=DatasetSummary,
                figures=(
                    Figure("meanWords", "description/words", per="sample/ok"),
                    Figure("withPrevious", "sample/withPrevious", per="sample/ok"),
                    Figure("characters", "sample/characters", per="sample/ok"),
                    Figure("namePrecision", "character/toldAndNamed", per="sample/characters"),
                    Figure("nameRecall", "character/toldAndNamed", per="character/named"),
                ),
                unit="sample",
            ),
        ),
        "FineTuneRun": (
            resolve("dataset", "model", "audio_description.pretrained"),
            replace(
                _TRAIN,
                reads=(*_TRAIN.reads, "audio_description"),
                external=(*_TRAIN.external, "pretrained"),
            ),
        ),
        "EvalRun": tuple(
            replace(
                stage,
                reads=(*stage.reads, *_READS.get(stage.name, ())),
                external=(*stage.external, "neighboursModel") if stage.name == "score" else stage.external,
            )
            for stage in EVALUATION
        ),
    },
    columns={
        "DatasetBuild": (
            Column("Words", ".status.figures.meanWords", "number", "Words of a description"),
            Column("Characters", ".status.figures.characters", "number", "Characters that a narrator is told of"),
        )
    },
    examples={
        "DatasetBuild": {
            "audioDescription": {
                "sources": [
                    {
                        "name": "tvad",
                        "format": "tvad",
                        "annotations": "tvad/tvad_char_refine_eval.json",
                        "bank": {"uri": "tvad/TV_eval_videollama.h5", "layout": "clips"},
                    }
                ]
            }
        },
        "FineTuneRun": {
            "audioDescription": {"mapping": {"kind": "qformer", "latents": 32}, "promptProfile": "clips"},
            "dataset": {"ref": "narration"},
            "model": {"name": "meta-llama/Llama-2-7b-hf"},
            "topology": {"nodes": 1, "gpusPerNode": 8, "product": "NVIDIA-A100-SXM4-80GB"},
        },
        "EvalRun": {
            "samples": {"ref": "narration"},
            "audioDescription": {"beams": 5},
            "generation": {"maxNewTokens": 67},
            "arms": [
                {
                    "name": "narrator",
                    "model": {"name": "meta-llama/Llama-2-7b-hf"},
                    "adapter": {"ref": "narrator"},
                }
            ],
        },
    },
)
