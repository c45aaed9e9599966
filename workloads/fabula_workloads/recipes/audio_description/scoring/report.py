"""What this recipe brings to the report."""

from __future__ import annotations

from collections.abc import Mapping

from fabula_workloads.recipes.audio_description.scoring.pace import COMFORTABLE
from fabula_workloads.recipes.audio_description.scoring.published import published
from fabula_workloads.recipes.audio_description.scoring.shown import asked, names_found, too_fast
from fabula_workloads.recipes.audio_description.scoring.subtitles import subtitles
from fabula_workloads.report.parts import ReportParts, Section, Told


def _files(told: Told) -> Mapping[str, bytes]:
    return {**published(told), **subtitles(told)}


REPORT = ReportParts(
    item="clip",
    items="clips",
    about_items="What a person said of each clip, and what each arm says.",
    asked=asked,
    sections=(
        Section("Names", "Characters whom the arms name, counted over all clips.", names_found),
        Section("Pace", f"Sentences that take more than {COMFORTABLE:.0f} words a minute in their clip.", too_fast),
    ),
    files=_files,
)
