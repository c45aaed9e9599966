"""The recipe `podcast`: transcripts to illustrated dialogues, a model tuned on them, and its answers compared."""

from fabula_api.recipes.podcast.stages import PODCAST

__all__ = ["PODCAST"]
