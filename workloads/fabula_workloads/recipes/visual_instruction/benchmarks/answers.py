"""Reading a short answer: an option's letter, yes or no, a count. What cannot be read is None, and never right."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ALONE = re.compile(r"^\W*([A-Z])(?=[\W_]|$)")
_NAMED = re.compile(r"\b(?:answer|option|choice)\b\W*(?:is|:)?\W*\(?([A-Z])\b(?!')", re.IGNORECASE)
_BRACKETED = re.compile(r"\(([A-Z])\)")
_BY_ITSELF = re.compile(r"(?<![\w'])([B-HJ-Z])(?![\w'])")
_WORDS = re.compile(r"[a-z]+")
_NUMBER = re.compile(r"(?<![\w.])(\d+)(?![\w]|\.\d)")
_NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip


def letter(text: str, options: Sequence[str] = ()) -> str | None:
    """The option that an answer names, as an upper-case letter.

    A letter at the start ("B.", "(C) Conical"), after "the answer is", in brackets, or by itself counts; the first
    letter of a word ("Because") does not. Without a letter, an answer that quotes exactly one of the `options` (their
    texts, in the order of A, B, ...) names that one. One that names two names none.
    """
    text = text.strip()
    if alone := _ALONE.match(text):
        first, rest = alone.group(1), text[alone.end() :].strip()
        # "A man waves" and "I see ..." begin with a word; "A" and "A. a man" with a letter.
        if first not in "AI" or not rest or not rest[0].isalpha():
            return first
    for pattern in (_NAMED, _BRACKETED, _BY_ITSELF):
        if letters := {group.upper() for group in pattern.findall(text)}:
            return letters.pop() if len(letters) == 1 else None
    quoted = [chr(ord("A") + place) for place, option in enumerate(options) if _quotes(text, option)]
    return quoted[0] if len(quoted) == 1 else None


def _quotes(text: str, option: str) -> bool:
    wanted = option.strip().rstrip(".").lower()
    return bool(wanted) and re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", text.lower()) is not None


def published_letter(text: str) -> str | None:
    """The published rule: the first capital A to E anywhere, so "Because" is B."""
    match = re.search(r"[A-E]", text)
    return match.group() if match else None


def yes_or_no(text: str) -> bool | None:
    """True for an answer whose first yes or no, as a word, is yes; "not yesterday" says neither."""
    for word in _WORDS.findall(text.lower()):
        if word in ("yes", "no"):
            return bool(word == "yes")
    return None


def count(text: str) -> int | None:
    """The number that an answer names, in digits or in words up to twelve. One that names two different names none."""
    numbers = {int(number) for number in _NUMBER.findall(text)}
    if not numbers:
        numbers = {_NUMBERS.index(word) for word in _WORDS.findall(text.lower()) if word in _NUMBERS}
    return numbers.pop() if len(numbers) == 1 else None


def published_count(text: str) -> int | None:
    """The published rule: all digits of the answer as one number."""
    digits = "".join(filter(str.isdigit, text))
    return int(digits) if digits else None
