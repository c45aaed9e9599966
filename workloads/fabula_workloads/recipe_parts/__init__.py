"""What a recipe brings to training and evaluation, and the one way to ask for it."""

from fabula_workloads.recipe_parts.conversation import messages
from fabula_workloads.recipe_parts.parts import Conversation, RecipeParts, parts_of
from fabula_workloads.recipe_parts.sample import Sample

__all__ = ["Conversation", "RecipeParts", "Sample", "messages", "parts_of"]
