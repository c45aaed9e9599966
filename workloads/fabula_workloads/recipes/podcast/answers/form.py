"""How a dialogue is read under each profile."""

from __future__ import annotations

from fabula_api.metrics import ProfileName
from fabula_workloads.metrics.answer_form import AnswerForm
from fabula_workloads.metrics.dialogue import Dialogue
from fabula_workloads.recipes.podcast.answers.rules import VERSION, WORDS, violation
from fabula_workloads.recipes.podcast.answers.transcript_file import dump, load
from fabula_workloads.recipes.podcast.answers.turns import paper_v1_turns, tolerant_turns


def _read(answer: str, profile: ProfileName) -> Dialogue:
    if profile == "paper-v1":
        # After a round trip through the transcript file, as the published scripts see it.
        return Dialogue(answer, load(dump("sample", answer, 0.0)), violation(answer), turns_of=paper_v1_turns)
    return Dialogue(answer, answer, violation(answer), turns_of=tolerant_turns)


def blind(answer: str) -> str:
    """The dialogue without headers and markup, with speakers numbered in the order in which they speak; an answer
    without a turn as it is."""
    text = load(answer)
    turns = tolerant_turns(text)
    numbers = {speaker: number for number, speaker in enumerate(dict.fromkeys(turn.speaker for turn in turns), 1)}
    return "\n\n".join(f"Speaker {numbers[turn.speaker]}: {turn.text}" for turn in turns) or text


DIALOGUE = AnswerForm(
    read=_read,
    flaws=WORDS,
    keeps="keeps the format",
    version=VERSION,
    blind=blind,
    unreadable="answers without a single turn",
    from_file=load,
    as_file=dump,
)
