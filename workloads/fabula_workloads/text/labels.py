"""The label of a written dialogue's turn, `Speaker N:`, one grammar for all that read what was asked for.

A full-width colon is one too; it has its space within. Whatever else models write is read by a recipe's own grammar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABEL = re.compile(r"(Speaker [0-9]+)([:：])(\s*)(.*)")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A line that opens a turn."""

    speaker: str
    """`Speaker N`."""
    text: str
    """What stands behind the colon and white space; it may be empty."""
    exact: bool
    """Whether it is written as prompts ask: N from 1, and white space behind a colon that has none within."""


def labelled(line: str) -> Labelled | None:
    """The label at the start of a line, and the rest of it; None where it opens no turn."""
    if (match := _LABEL.fullmatch(line)) is None:
        return None
    speaker, colon, space, text = match.groups()
    return Labelled(speaker, text, speaker[8] != "0" and (colon == "：" or bool(space) or not text))
