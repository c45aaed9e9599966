"""How evaluations of the podcast recipe are made: picture sequences, and dialogues about them."""

from fabula_workloads.recipe_parts.evaluation import EvaluationParts
from fabula_workloads.recipes.podcast.answers.form import DIALOGUE
from fabula_workloads.recipes.podcast.answers.shown import counted, shown
from fabula_workloads.recipes.podcast.sequences.find import PictureSequence, find_directories, find_vist
from fabula_workloads.report.markup import Markup
from fabula_workloads.report.parts import ReportParts

EVALUATION = EvaluationParts(
    formats={"vist": find_vist, "directories": find_directories},
    sample=PictureSequence,
    item="sequence",
    answers=DIALOGUE,
    report=ReportParts(
        item="sequence",
        items="picture sequences",
        about_items="The pictures that every arm was shown, and what each of them said.",
        about_profiles={
            "v2": "Labels are no text, answers without turns have no figure, CLIP reads passages whole.",
            "paper-v1": "An answer without a readable turn counts as zero; CLIPScore is the same for every long text.",
        },
        # The human story is no answer that one would compare with.
        asked=lambda sample: Markup(""),
        shown=shown,
        counted=counted,
    ),
)
