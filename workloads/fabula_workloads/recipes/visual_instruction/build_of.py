"""The spec of a build of this recipe."""

from __future__ import annotations

from fabula_api.recipes.visual_instruction.build import VisualInstructionBuild, VisualInstructionBuildSpec
from fabula_workloads.runtime.context import StageContext


def spec_of(context: StageContext) -> VisualInstructionBuildSpec:
    """Raises ConfigInvalid for another kind's, or another recipe's."""
    return context.spec_of(VisualInstructionBuildSpec)


def block_of(context: StageContext) -> VisualInstructionBuild:
    """Its own block."""
    return spec_of(context).visual_instruction
