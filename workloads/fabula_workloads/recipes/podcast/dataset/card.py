"""The dataset's README: what it holds, in figures and a histogram, with the front matter that `datasets` reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

from fabula_workloads.recipe_parts.card import bars
from fabula_workloads.recipes.podcast.dataset.contact_sheet import CONTACT_SHEET, shown
from fabula_workloads.recipes.podcast.dataset.figures import FIGURES
from fabula_workloads.recipes.podcast.dataset.hugging_face import front_matter
from fabula_workloads.recipes.podcast.dataset.samples import Sample
from fabula_workloads.recipes.podcast.prompt import PROMPT_VERSION


def card(
    samples: Sequence[Sample], validation: frozenset[str], left_out: Mapping[str, int], turns: Mapping[str, Any]
) -> str:
    """The card's text; `turns` are the choices made of the source's turns. It names no date and no place, so that
    equal datasets have equal cards."""
    words = [sample.words for sample in samples]
    num_validation = sum(sample.podcast in validation for sample in samples)
    podcasts = {sample.podcast for sample in samples}
    figures = [
        ("samples", f"{len(samples)}"),
        ("training / validation", f"{len(samples) - num_validation} / {num_validation}"),
        ("podcasts (none in both splits)", f"{len(podcasts)}"),
        ("episodes", f"{len({sample.episode for sample in samples})}"),
        ("pictures", f"{sum(len(sample.pictures) for sample in samples)}"),
        ("words a sample, mean / median", f"{mean(words):.0f} / {median(words):.0f}"),
        ("shortest / longest", f"{min(words)} / {max(words)}"),
        *([("turns of the source", _told(turns))] if turns else []),
        ("prompt", PROMPT_VERSION),
    ]
    by_images = Counter(len(sample.pictures) for sample in samples)
    lines = [
        *_front_matter(samples, validation),
        "# Dialogues with pictures",
        "",
        "Excerpts of podcasts, each with pictures of its scenes in order: given the pictures, write the dialogue.",
        "",
        f"![What the dataset holds, in figures]({FIGURES})",
        "",
        *_sheet(len(shown(samples))),
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in figures),
        "",
        "## Samples by number of pictures",
        "",
        "```",
        *bars({str(count): number for count, number in sorted(by_images.items())}),
        "```",
        "",
        "## Words a sample",
        "",
        "```",
        *bars(_by_hundred(words)),
        "```",
        "",
        "## Left out",
        "",
        *([f"* {reason}: {count}" for reason, count in sorted(left_out.items())] or ["Nothing."]),
        "",
        "## Files",
        "",
        "* `train.jsonl`, `validation.jsonl`: one sample a line; picture paths are relative to this folder.",
        "* `reference.json`: the training split as the array that the published training code reads.",
        "* `metadata_train.jsonl`, `metadata_validation.jsonl`: the same for `datasets.load_dataset` of this folder,",
        "  which gives the pictures decoded, as a list in the column `images`.",
        "* `samples/<id>/`: each sample for the eye: `excerpt.json` and `image_<scene>.png`.",
        "",
        "The dialogues are excerpts of the source's transcripts and stay under its terms.",
        "",
    ]
    return "\n".join(lines)


def _front_matter(samples: Sequence[Sample], validation: frozenset[str]) -> list[str]:
    """The YAML for the splits that have samples; with pictures where each split has some, or its column had no type."""
    pictures = {False: 0, True: 0}
    for sample in samples:
        pictures[sample.podcast in validation] += len(sample.pictures)
    splits = {"train": pictures[False]}
    if any(sample.podcast in validation for sample in samples):
        splits["validation"] = pictures[True]
    return front_matter(list(splits), all(splits.values()))


def _told(turns: Mapping[str, Any]) -> str:
    merged = "one speaker's joined" if turns.get("mergeTurns") else "as they are"
    shortest = f"from {turns['minTurnCharacters']} characters" if turns.get("minTurnCharacters") else "of any length"
    acknowledging = "without" if turns.get("backChannels") == "drop" else "with"
    return f"{merged}, {shortest}, {acknowledging} back-channels"


def _sheet(rows: int) -> list[str]:
    return [f"![A row for each of {rows} samples, its scenes in order]({CONTACT_SHEET})", ""] if rows else []


def _by_hundred(words: Sequence[int]) -> dict[str, int]:
    hundreds = Counter(count // 100 for count in words)
    span = range(min(hundreds), max(hundreds) + 1)
    return {f"{hundred * 100}-{hundred * 100 + 99}": hundreds[hundred] for hundred in span}
