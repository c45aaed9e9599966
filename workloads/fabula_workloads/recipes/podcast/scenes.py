"""Scenes of an excerpt without a model: its most visual sentences, cleaned until they can stand as a drawing prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fabula_workloads.recipes.podcast.dialogue import Turn
from fabula_workloads.recipes.podcast.visual import num_abstract, visual_lemmas, weight

MAX_PROMPT_WORDS = 40
"""CLIP, one of Stable Diffusion's text encoders, reads 77 tokens; 40 words stay below that."""
_MIN_PROMPT_WORDS = 4
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+")
_BRACKETS = re.compile(r"\\?\[[^\]]*\]|\([^)]*\)")
_FILLER = re.compile(
    r"(?:^|(?<=[\s,]))"
    r"(?:u+h+|u+m+|e+r+m*|hm+|you know|i mean|i guess|sort of|kind of|basically|literally|like)(?:,|(?=\s*$))\s*",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:(?:and|but|so|well|oh|ah|yeah|yes|no|right|okay|ok|now|then|because|or|exactly|wow|honestly|see|look)\b[\s,.!-]*)+",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"(?<=[,;:—–])\s+")


def sentences(text: str) -> list[str]:
    """The sentences of a turn's text."""
    return [sentence.strip() for sentence in _SENTENCE.split(text) if sentence.strip()]


def drawing_prompt(sentence: str) -> str:
    """A sentence as a drawing prompt: without fillers, markers and an opening that leans on what was said before."""
    text = _BRACKETS.sub(" ", sentence).replace("\\", "").strip("\"“”' ")
    text = _OPENING.sub("", _FILLER.sub("", text))
    words = text.split()
    if len(words) > MAX_PROMPT_WORDS:
        words = _best_clauses(_CLAUSE.split(" ".join(words))).split()[:MAX_PROMPT_WORDS]
    text = " ".join(words).rstrip(" ,;:—–-")
    return text[:1].upper() + text[1:]


def scenes(turns: Iterable[Turn], count: int) -> tuple[str, ...]:
    """The `count` most visual sentences of a dialogue in its order; fewer when fewer have anything to show."""
    found: list[tuple[int, int, str]] = []
    seen: set[str] = set()
    position = 0
    for turn in turns:
        for sentence in sentences(turn.text):
            position += 1
            prompt = drawing_prompt(sentence)
            value = _value(prompt)
            if value > 0 and len(prompt.split()) >= _MIN_PROMPT_WORDS and prompt.lower() not in seen:
                seen.add(prompt.lower())
                found.append((-value, position, prompt))
    best = sorted(found)[:count]
    return tuple(prompt for _, _, prompt in sorted(best, key=lambda scene: scene[1]))


def _value(text: str) -> int:
    return weight(visual_lemmas(text), num_abstract(text))


def _best_clauses(clauses: list[str]) -> str:
    """The run of neighbouring clauses, within the prompt's length, that shows most; of equal ones the first."""
    runs = []
    for start in range(len(clauses)):
        run = ""
        for clause in clauses[start:]:
            longer = f"{run} {clause}".strip()
            if run and len(longer.split()) > MAX_PROMPT_WORDS:
                break
            run = longer
            runs.append(run)
    return max(runs, key=_value)
