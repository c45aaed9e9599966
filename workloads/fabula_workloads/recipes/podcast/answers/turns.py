"""Who speaks when: the two label grammars, as functions from a text to its turns.

The published grammar misses bold and numbered host labels, so four of its fifty answers counted as zero turns; the
tolerant one reads them, and knows that `Host 1 (Alex)` and a later `Alex` are one person.
"""

from __future__ import annotations

import re

from fabula_workloads.metrics.dialogue import Turn

_PAPER_LABEL = re.compile(r"\[?(Speaker *[0-9]+|Host|Guest|Co-host|[A-Z][a-z]+)\]?: *(.*)")

# Markup that models put round or before a label: list bullets, headings, quotes, emphasis, brackets.
_TOLERANT_LABEL = re.compile(
    r"""
    [\#>*_\-•\s]* (?:\d+[.)]\s)? \[? [*_\s]*
    (?P<label>(?i:speaker|host|guest|co-?host|narrator|interviewer)\s*\#?\d* | [^\W\d_]{2,})
    \s* (?:[(（](?P<name>[^()（）]{1,40})[)）])?
    [*_\s]* \]? [*_\s]* [:：] [*_]* \s*
    """,
    re.VERBOSE,
)
_LABEL_SPAN = 120
"""Characters at a line's start in which a label is looked for: it bounds the work on a line of a thousand asterisks."""
_ROLE = re.compile(r"(speaker|host|guest|co-?host|narrator|interviewer)\s*#?(\d*)", re.IGNORECASE)
# Capitalised words before a colon that head a section and name nobody.
_HEADINGS = frozenset({
    "note", "notes", "title", "scene", "topic", "episode", "intro", "introduction", "outro", "summary", "setting",
    "warning", "music", "sound", "transcript", "podcast", "dialogue", "conversation", "image", "picture", "photo",
    "segment", "part", "chapter",
})  # fmt: skip


def paper_v1_turns(text: str) -> list[Turn]:
    """Turns as published: case-sensitive, labels at the start of a line only, text before the first label dropped."""
    turns: list[tuple[str, list[str]]] = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        if match := _PAPER_LABEL.fullmatch(line):
            turns.append((match[1], [match[2]]))
        elif turns:
            turns[-1][1].append(line)
    return _spoken(turns)


def tolerant_turns(text: str) -> list[Turn]:
    """Turns of a dialogue that may use bold, bullets, brackets, numbered roles or names as labels."""
    turns: list[tuple[str, list[str]]] = []
    alias: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.split("\n"))):
        if speech := _labelled(line, alias):
            turns.append((speech[0], [speech[1]]))
        elif turns:
            turns[-1][1].append(line.strip("*_ "))
    return _spoken(turns)


def _labelled(line: str, alias: dict[str, str]) -> tuple[str, str] | None:
    """(speaker, text) of a line that opens a turn; learns from `Host 1 (Alex)` that Alex is host 1."""
    match = _TOLERANT_LABEL.match(line, 0, _LABEL_SPAN)
    if match is None:
        return None
    label = " ".join(match["label"].split())
    if role := _ROLE.fullmatch(label):
        speaker = f"{role[1].lower().replace('-', '')} {role[2]}".strip()
    elif label.lower() in _HEADINGS or not label[0].isupper():
        return None
    else:
        speaker = alias.get(label.lower(), label.lower())
    if match["name"]:
        alias.setdefault(match["name"].strip().lower(), speaker)
    return speaker, line[match.end() :].strip("*_ ")


def _spoken(turns: list[tuple[str, list[str]]]) -> list[Turn]:
    """A label that nothing follows is no turn."""
    joined = (Turn(speaker, " ".join(filter(None, lines))) for speaker, lines in turns)
    return [turn for turn in joined if turn.text]
