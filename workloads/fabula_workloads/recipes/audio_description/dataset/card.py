"""The dataset's card: what is in it, in figures, and what became of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fabula_workloads.recipe_parts.card import histogram, rows_became
from fabula_workloads.recipes.audio_description.annotations.names import is_named
from fabula_workloads.recipes.audio_description.dataset.choosing import NarrationChosen
from fabula_workloads.recipes.audio_description.refinement.records import Measured
from fabula_workloads.recipes.audio_description.sample import NarrationSample


def card(
    chosen: Sequence[NarrationChosen],
    splits: Mapping[str, Sequence[NarrationSample]],
    shape: Sequence[int],
    measured: Sequence[Measured] = (),
) -> str:
    """Markdown. `measured` says how scores that were learned do."""
    samples = [sample for members in splits.values() for sample in members]
    width = " x ".join(map(str, shape))
    lines = [
        "# Audio descriptions",
        "",
        f"{len(samples)} samples of {len({sample.film for sample in samples})} films; features of a frame: {width}.",
        "",
        "| split | samples | films | words a description | with a clip before |",
        "|---|---|---|---|---|",
        *(_split(name, members) for name, members in splits.items()),
        "",
    ]
    outcomes = Counter((choice.row.source, choice.reason or "used") for choice in chosen)
    alone = Counter(
        choice.row.source for choice in chosen if choice.sample is not None and choice.sample.previous is None
    )
    lines += rows_became(
        outcomes, ((source, "used, no previous clip", count) for source, count in sorted(alone.items()))
    )
    lines += [*_who(samples), *_learned(measured)]
    lines += histogram("Words of a description", (len(sample.text.split()) for sample in samples))
    lines += histogram("Characters that a narrator is told of", (len(sample.characters) for sample in samples))
    lines += histogram("Characters that a description names", (len(sample.named) for sample in samples))
    return "\n".join(lines) + "\n"


def told_and_named(sample: NarrationSample) -> int:
    """How many of the characters that a narrator is told of its description names."""
    return sum(is_named(character, sample.text, sample.named) for character in sample.characters)


def _who(samples: Sequence[NarrationSample]) -> list[str]:
    """Whom narrators are told of, against whom descriptions name, by source."""
    lines = [
        "## Who is told of, and who is named",
        "",
        "| source | told of | named | both | precision | recall |",
        "|---|---|---|---|---|---|",
    ]
    for source in sorted({sample.source for sample in samples}):
        of_source = [sample for sample in samples if sample.source == source]
        told, named = (
            sum(len(sample.characters) for sample in of_source),
            sum(len(set(sample.named)) for sample in of_source),
        )
        both = sum(map(told_and_named, of_source))
        lines.append(f"| {source} | {told} | {named} | {both} | {_share(both, told)} | {_share(both, named)} |")
    return [*lines, ""]


def _learned(measured: Sequence[Measured]) -> list[str]:
    """How the learned scores do at each threshold."""
    if not measured:
        return []
    lines = [
        "## Learned: who of the candidates is named",
        "",
        "Each film was scored by a model that had not seen it. Recall is of the candidates that are named.",
        "",
        "| split | threshold | told of | precision | recall |",
        "|---|---|---|---|---|",
    ]
    for learned in measured:
        row = (
            learned.split,
            f"{learned.threshold:g}",
            str(learned.told),
            _share(learned.right, learned.told),
            _share(learned.right, learned.named),
        )
        lines.append(f"| {' | '.join(row)} |")
    return [*lines, ""]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def _split(name: str, members: Sequence[NarrationSample]) -> str:
    words = sum(len(sample.text.split()) for sample in members)
    before = sum(sample.previous is not None and sample.previous.clip is not None for sample in members)
    mean = f"{words / len(members):.2f}" if members else "-"
    return f"| {name} | {len(members)} | {len({sample.film for sample in members})} | {mean} | {before} |"
