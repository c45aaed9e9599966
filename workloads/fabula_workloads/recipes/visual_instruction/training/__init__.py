"""What a FineTuneRun of this recipe trains: one stage of a watcher, beginning with the stage before."""

from fabula_workloads.recipes.visual_instruction.training.parts import TRAINING

__all__ = ["TRAINING"]
