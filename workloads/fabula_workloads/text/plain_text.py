"""Text as a sample may hold it: something to see in it, and no marks by which models tell roles and pictures apart."""

from __future__ import annotations

import re
import unicodedata

_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters by their class, and nothing to see: fillers of Hangul and Braille's empty cell."""
_NAMES = (
    "image|img|video|audio|im_start|im_end|im_patch|s|/s|pad|unk|bos|eos|mask|sep|cls|endoftext|start_of_turn|"
    "end_of_turn|tool_call|/tool_call|think|/think"
)
_CONTROL = re.compile(rf"<(\|[^<>|\s]{{1,60}}\||{_NAMES})>", re.IGNORECASE)


def has_text(text: str) -> bool:
    """Whether there is anything to see: no white space of any sort, no character without a width, no filler."""
    return any(unicodedata.category(char)[0] not in "ZC" and char not in _BLANKS for char in text)


def without_control_tokens(text: str) -> str:
    """The text with the brackets of `<|im_start|>`, `<image>` and the like taken off; the word inside stays.

    A transcript that holds one would open a turn or ask for a picture where there is none.
    """
    while (plain := _CONTROL.sub(lambda bracketed: bracketed[1].strip("|/"), text)) != text:
        text = plain
    return text
