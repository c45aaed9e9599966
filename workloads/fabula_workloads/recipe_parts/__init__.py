"""What a recipe brings to training and evaluation, and the one way to ask for it."""

from fabula_workloads.recipe_parts.conversation import messages
from fabula_workloads.recipe_parts.parts import Batch, Collate, Conversation, Encoded, RecipeParts, parts_of
from fabula_workloads.recipe_parts.sample import Sample

__all__ = ["Batch", "Collate", "Conversation", "Encoded", "RecipeParts", "Sample", "messages", "parts_of"]
