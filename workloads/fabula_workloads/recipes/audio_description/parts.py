"""What this recipe brings to training and evaluation."""

from fabula_workloads.recipe_parts import RecipeParts
from fabula_workloads.recipes.audio_description.details import PROMPT_VERSION
from fabula_workloads.recipes.audio_description.sample import NarrationSample

PARTS = RecipeParts(prompt_version=PROMPT_VERSION, inference_prompt=lambda: "Describe ", sample=NarrationSample)
