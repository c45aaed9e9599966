"""The spec of a build of this recipe."""

from __future__ import annotations

from fabula_api.recipes.visual_instruction.build import VisualInstructionBuild, VisualInstructionBuildSpec
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid


def spec_of(context: StageContext) -> VisualInstructionBuildSpec:
    """Raises ConfigInvalid for another kind's, or another recipe's."""
    spec = context.config.spec
    if not isinstance(spec, VisualInstructionBuildSpec):
        raise ConfigInvalid(f"{context.config.stage} belongs to a DatasetBuild of visual-instruction")
    return spec


def block_of(context: StageContext) -> VisualInstructionBuild:
    """Its own block."""
    return spec_of(context).visual_instruction
