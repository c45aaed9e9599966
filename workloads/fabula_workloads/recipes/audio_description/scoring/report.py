"""What this recipe brings to the report."""

from __future__ import annotations

from collections.abc import Mapping

from fabula_workloads.recipes.audio_description.scoring.by_film import films_csv, films_table
from fabula_workloads.recipes.audio_description.scoring.pace import COMFORTABLE
from fabula_workloads.recipes.audio_description.scoring.published import published
from fabula_workloads.recipes.audio_description.scoring.shown import asked, names_found, too_fast
from fabula_workloads.recipes.audio_description.scoring.subtitles import subtitles
from fabula_workloads.recipes.audio_description.scoring.timelines import timelines, worst_and_best
from fabula_workloads.report.parts import ReportParts, Section, Told


def _files(told: Told) -> Mapping[str, bytes]:
    return {**published(told), **subtitles(told), "films.csv": films_csv(told)}


REPORT = ReportParts(
    item="clip",
    items="clips",
    about_items="What a person said of each clip, and what each arm says.",
    about_profiles={
        "v2": "Round brackets are no words, and R@k/N takes every clip of a film.",
        "paper-v1": "A round bracket is a word, and R@k/N leaves out the clips behind a film's last whole window.",
    },
    asked=asked,
    sections=(
        Section("Films", "Where an arm comes near to the reference (CIDEr), along each film.", timelines),
        Section("Best and worst", "Clips by the CIDEr of what an arm says of them.", worst_and_best),
        Section("Means", "Over clips, and over films, in which a film counts as much as any.", films_table),
        Section("Names", "Characters whom the arms name, counted over all clips.", names_found),
        Section("Pace", f"Sentences that take more than {COMFORTABLE:.0f} words a minute in their clip.", too_fast),
    ),
    files=_files,
)
