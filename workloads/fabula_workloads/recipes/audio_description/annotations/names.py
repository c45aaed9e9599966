"""Characters by the names that descriptions use, found as whole words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from fabula_workloads.recipes.audio_description.annotations.rows import Character


def named_in(text: str, names: Iterable[str]) -> frozenset[str]:
    """Those of the names that stand in the text, as words of their own; a possessive counts, another case does not."""
    return frozenset(name for name in names if _word(name).search(text))


@lru_cache(maxsize=65_536)
def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")


def first_name(role: str) -> str:
    """A role's first word; where that is a title with a dot, the second, without punctuation."""
    words = role.split()
    if len(words) > 1 and words[0].endswith("."):
        return words[1].strip(".,;:'\"()") or words[1]
    return words[0] if words else role


def spellings(character: Character) -> frozenset[str]:
    """The names by which a description may call a character: the short one, the role's, and its first name where no
    short one is known."""
    names = {character.short_name or first_name(character.role or ""), character.role or ""}
    return frozenset(names - {""})


def is_named(character: Character, text: str, named: Iterable[str]) -> bool:
    """Whether a description names a character: by the annotation's own list where it has one, or in its words."""
    known = spellings(character)
    return bool(known & set(named)) or bool(named_in(text, known))
