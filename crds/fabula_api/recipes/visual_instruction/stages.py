"""The stages of the recipe `visual-instruction`, by kind."""

from __future__ import annotations

from dataclasses import replace

from fabula_api.recipes.platform import EVALUATION, TRAINING, resolve
from fabula_api.recipes.records import HELD_OUT, Column, Figure, ReadModel, Recipe, SampleFormat, Stage
from fabula_api.recipes.visual_instruction.build import VisualInstructionBuildSpec
from fabula_api.recipes.visual_instruction.measures import FEEDBACK, METRICS
from fabula_api.recipes.visual_instruction.tune import VisualInstructionTuneSpec
from fabula_api.recipes.visual_instruction.watch import VisualInstructionEvalSpec
from fabula_api.summary import DatasetSummary

_WORK = "fabula_workloads.recipes.visual_instruction"
_RESOLVE, _TRAIN = TRAINING

_READS = {"select": ("visual_instruction.frames",), "infer": ("visual_instruction",)}
"""What stages of an evaluation read of the block."""

VISUAL_INSTRUCTION = Recipe(
    name="visual-instruction",
    parts=f"{_WORK}.parts:PARTS",
    training=f"{_WORK}.training:TRAINING",
    evaluation=f"{_WORK}.evaluation:EVALUATION",
    in_vllm=False,
    sample_formats=(
        HELD_OUT,
        SampleFormat("vispeak-bench", "annotations of ViSpeak-Bench, a JSON file a subtask, with their videos"),
        SampleFormat("streaming-bench", "questions of StreamingBench, JSON files, with their videos"),
        SampleFormat("ovo-bench", "questions of OVO-Bench, a JSON file, with their videos"),
    ),
    offers=("text",),
    # What tells long texts apart has one figure for all remarks of a sentence.
    usual_metrics=("words",),
    metrics=METRICS,
    rubrics=(FEEDBACK,),
    specs={
        "DatasetBuild": VisualInstructionBuildSpec,
        "FineTuneRun": VisualInstructionTuneSpec,
        "EvalRun": VisualInstructionEvalSpec,
    },
    fixed={"DatasetBuild": ("visual_instruction.sources",), "FineTuneRun": ("visual_instruction",)},
    # A watcher is trained position by position, by its low-rank update alone, and decoded greedily.
    unused={
        "FineTuneRun": (
            "training.method",
            "training.packing",
            "training.kernels",
            "lora.quantization",
            "lora.precision",
        ),
        "EvalRun": ("generation.temperature", "generation.top_p"),
    },
    models={
        "FineTuneRun": (
            ReadModel(
                "begin",
                "visual_instruction.begin",
                when=("visual_instruction.takes_begin", (True,)),
                made_by="FineTuneRun",
            ),
        ),
    },
    stages={
        "DatasetBuild": (
            Stage(
                "ingest",
                "single",
                runs=f"{_WORK}.ingest:run",
                reads=(
                    "visual_instruction.sources",
                    "visual_instruction.split.seed",
                    "visual_instruction.max_bad_fraction",
                ),
                makes=("instructions",),
                version=2,
                by_content=True,
                unit="row",
            ),
            Stage(
                "decode",
                "sharded",
                runs=f"{_WORK}.decode:run",
                reads=("visual_instruction.sources", "visual_instruction.frames", "visual_instruction.sound"),
                after=("ingest",),
                shards="visual_instruction.workers",
                resources="visual_instruction.resources",
                unit="video",
            ),
            Stage(
                "assemble",
                "single",
                runs=f"{_WORK}.assemble:run",
                reads=(
                    "visual_instruction.sources",
                    "visual_instruction.frames",
                    "visual_instruction.sound",
                    "visual_instruction.split",
                    "target",
                ),
                after=("ingest", "decode"),
                makes=("dataset",),
                version=2,
                summary=DatasetSummary,
                figures=(
                    Figure("meanFrames", "sample/frames", per="sample/ok"),
                    Figure("replies", "sample/replies", per="sample/ok"),
                ),
                unit="sample",
            ),
        ),
        "FineTuneRun": (
            resolve("dataset", "model", "visual_instruction.begin"),
            replace(_TRAIN, reads=(*_TRAIN.reads, "visual_instruction"), external=(*_TRAIN.external, "begin")),
        ),
        "EvalRun": tuple(replace(stage, reads=(*stage.reads, *_READS.get(stage.name, ()))) for stage in EVALUATION),
    },
    columns={
        "DatasetBuild": (
            Column("Frames", ".status.figures.meanFrames", "number", "Pictures of a sample"),
            Column("Replies", ".status.figures.replies", "number", "Replies of a sample"),
        )
    },
    examples={
        "DatasetBuild": {
            "visualInstruction": {
                "sources": [
                    {
                        "name": "gestures",
                        "annotations": "vispeak/Gesture_Understanding.json",
                        "videos": "vispeak/videos",
                        "task": "gesture",
                    }
                ]
            }
        },
        "FineTuneRun": {
            "visualInstruction": {"stage": "streaming", "begin": {"ref": "watcher-finetune"}, "pooling": 2},
            "dataset": {"ref": "feedback"},
            "model": {"name": "Qwen/Qwen3-VL-8B-Instruct"},
            "topology": {"nodes": 1, "gpusPerNode": 8, "product": "NVIDIA-A100-SXM4-80GB"},
        },
        "EvalRun": {
            "samples": {"ref": "feedback"},
            "visualInstruction": {"threshold": {"over": "sum", "frames": 3, "above": 0.35}},
            "generation": {"maxNewTokens": 128},
            "arms": [
                {"name": "base", "model": {"name": "Qwen/Qwen3-VL-8B-Instruct"}},
                {
                    "name": "watcher",
                    "model": {"name": "Qwen/Qwen3-VL-8B-Instruct"},
                    "adapter": {"ref": "watcher-instruct"},
                },
            ],
        },
    },
)
