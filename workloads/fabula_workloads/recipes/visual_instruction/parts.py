"""What this recipe brings to training and evaluation."""

from fabula_workloads.recipe_parts import RecipeParts
from fabula_workloads.recipes.visual_instruction.details import PROMPT_VERSION
from fabula_workloads.recipes.visual_instruction.sample import VideoSample

PARTS = RecipeParts(
    prompt_version=PROMPT_VERSION,
    inference_prompt=lambda: "You watch a video as it happens. Speak when something calls for a word from you.",
    sample=VideoSample,
)
