"""What the recipe brings to training and evaluation."""

from fabula_workloads.recipe_parts import RecipeParts
from fabula_workloads.recipes.podcast.prompt import PROMPT_VERSION, inference_prompt

PARTS = RecipeParts(prompt_version=PROMPT_VERSION, inference_prompt=inference_prompt)
