"""A dialogue in the report: turns with their speakers in colour."""

from __future__ import annotations

from fabula_workloads.recipes.podcast.answers.turns import tolerant_turns
from fabula_workloads.report.markup import Markup, join, tag

_NUM_SPEAKER_COLOURS = 6


def shown(text: str) -> Markup:
    """Turns; what has none is shown as it came."""
    turns = tolerant_turns(text)
    if not turns:
        return tag("pre", text or "(no text)")
    speakers = {name: index for index, name in enumerate(dict.fromkeys(turn.speaker for turn in turns))}
    return join(
        *(
            tag(
                "p",
                tag("b", turn.speaker.title()),
                turn.text,
                class_=f"s{speakers[turn.speaker] % _NUM_SPEAKER_COLOURS + 1}",
            )
            for turn in turns
        )
    )


def counted(text: str) -> str:
    """How much it is, in a few words."""
    turns = tolerant_turns(text)
    return f"{len(turns)} turns, {sum(turn.num_words for turn in turns)} words"
