"""The stages of the recipe `visual-instruction`, by kind."""

from __future__ import annotations

from fabula_api.recipes.records import Column, Figure, Recipe, Stage
from fabula_api.recipes.visual_instruction.build import VisualInstructionBuildSpec
from fabula_api.summary import DatasetSummary

_WORK = "fabula_workloads.recipes.visual_instruction"

VISUAL_INSTRUCTION = Recipe(
    name="visual-instruction",
    specs={"DatasetBuild": VisualInstructionBuildSpec},
    fixed={"DatasetBuild": ("visual_instruction.sources",)},
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
                summary=DatasetSummary,
                figures=(
                    Figure("meanFrames", "sample/frames", per="sample/ok"),
                    Figure("replies", "sample/replies", per="sample/ok"),
                ),
                unit="sample",
            ),
        ),
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
        }
    },
)
