"""The spec of a build of this recipe."""

from __future__ import annotations

from fabula_api.recipes.audio_description.build import AudioDescriptionBuild, AudioDescriptionBuildSpec
from fabula_workloads.runtime.context import StageContext


def spec_of(context: StageContext) -> AudioDescriptionBuildSpec:
    """Raises ConfigInvalid for another kind's, or another recipe's."""
    return context.spec_of(AudioDescriptionBuildSpec)


def block_of(context: StageContext) -> AudioDescriptionBuild:
    """Its own block."""
    return spec_of(context).audio_description
