"""The rules of the format that the prompt asks for: whether they are kept says whether training taught what was asked.

The published evaluation lacks them; both profiles use these.
"""

from __future__ import annotations

import re

from fabula_workloads.text.labels import labelled

VERSION = 2
"""2: a full-width colon ends a label."""
WORDS = {
    "Empty": "empty",
    "TextBeforeFirstLabel": "text before the first label",
    "EmptyTurn": "label without text",
    "OneTurn": "one turn only",
    "OneSpeaker": "one speaker only",
    "MentionsPictures": "mentions the pictures",
}
"""Each rule that can be broken, for people."""

_ORDINAL = "first|second|third|fourth|fifth|sixth|next|last|final|previous|opening|closing"
# A noun for the picture itself behind a pointing word. "Picture this" and "the big picture" are ordinary speech.
_PICTURE_TALK = re.compile(
    rf"\b(?:(?:this|that|these|those|the|our|your|each|every|another|an?)(?:\s+(?:{_ORDINAL}))?|{_ORDINAL})"
    r"\s+(?:image|picture|photo|photograph)s?\b",
    re.IGNORECASE,
)


def violation(text: str) -> str | None:
    """The first rule that the answer breaks, as one CamelCase word; None when it obeys all of them.

    The rules, in order: there is text (`Empty`); its first non-empty line opens with a label `Speaker N:`, N from 1
    (`TextBeforeFirstLabel`); every label has words behind it, on its line or below (`EmptyTurn`); there are two turns
    (`OneTurn`) and two speakers (`OneSpeaker`); no phrase points at a picture, such as "our first image"
    (`MentionsPictures`). Labels are exact: case-sensitive, without bold, brackets or names; the
    colon may be a full-width one, as Chinese and Japanese text has it.
    """
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        return "Empty"
    if (first := labelled(lines[0])) is None or not first.exact:
        return "TextBeforeFirstLabel"
    speakers: list[str] = []
    num_words: list[int] = []
    for line in lines:
        if (opened := labelled(line)) and opened.exact:
            line = opened.text
            speakers.append(opened.speaker)
            num_words.append(0)
        num_words[-1] += len(line.split())
    if not all(num_words):
        return "EmptyTurn"
    if len(speakers) < 2:
        return "OneTurn"
    if len(set(speakers)) < 2:
        return "OneSpeaker"
    return "MentionsPictures" if _PICTURE_TALK.search(text) else None
