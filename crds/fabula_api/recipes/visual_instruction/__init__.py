"""The recipe `visual-instruction`: videos with replies at their seconds, for a model that knows when to speak."""

from fabula_api.recipes.visual_instruction.stages import VISUAL_INSTRUCTION

__all__ = ["VISUAL_INSTRUCTION"]
