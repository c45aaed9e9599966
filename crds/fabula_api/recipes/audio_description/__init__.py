"""The recipe `audio-description`: films to narration, a narrator trained on it, and its sentences scored."""

from fabula_api.recipes.audio_description.stages import AUDIO_DESCRIPTION

__all__ = ["AUDIO_DESCRIPTION"]
