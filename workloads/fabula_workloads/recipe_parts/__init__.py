"""What a recipe brings to training and evaluation, and the one way to ask for it."""

from fabula_workloads.recipe_parts.conversation import messages
from fabula_workloads.recipe_parts.encoding import SampleEncoder, SampleTooLong
from fabula_workloads.recipe_parts.parts import Conversation, RecipeParts, parts_of
from fabula_workloads.recipe_parts.sample import AnySample, Sample
from fabula_workloads.recipe_parts.telling import Shown, ToldFrom, UnfitFile

__all__ = [
    "AnySample",
    "Conversation",
    "RecipeParts",
    "Sample",
    "SampleEncoder",
    "SampleTooLong",
    "Shown",
    "ToldFrom",
    "UnfitFile",
    "messages",
    "parts_of",
]
