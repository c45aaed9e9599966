"""Scenes of an excerpt without a model: its most visual sentences, cleaned until they can stand as a drawing prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fabula_workloads.recipes.podcast.dialogue import Turn
from fabula_workloads.recipes.podcast.extraction.visual import num_abstract, visual_lemmas, weight
from fabula_workloads.text.sentences import sentences
from fabula_workloads.text.words import first_words, num_words

MAX_PROMPT_WORDS = 40
"""CLIP, one of Stable Diffusion's text encoders, reads 77 tokens; 40 words stay below that."""
_MIN_PROMPT_WORDS = 4
_BRACKETS = re.compile(r"\\?\[[^\]]*\]|\([^)]*\)|（[^）]*）|【[^】]*】")
_FILLER = re.compile(
    r"(?:^|(?<=[\s,]))"
    r"(?:u+h+|u+m+|e+r+m*|hm+|you know|i mean|i guess|sort of|kind of|basically|literally|like)(?:,|(?=\s*$))\s*",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:(?:and|but|so|well|oh|ah|yeah|yes|no|right|okay|ok|now|then|because|or|exactly|wow|honestly|see|look)\b[\s,.!-]*)+",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"(?<=[,;:—–]\s)|(?<=[，、；：،؛])")
_MARKS = " ,;:—–-，、；：،؛"
"""What no prompt ends with."""


def drawing_prompt(sentence: str) -> str:
    """A sentence as a drawing prompt: without fillers, markers and an opening that leans on what was said before."""
    text = _BRACKETS.sub(" ", sentence).replace("\\", "").strip("\"“”' ")
    text = _OPENING.sub("", _FILLER.sub("", text))
    text = " ".join(text.split())
    if num_words(text) > MAX_PROMPT_WORDS:
        text = first_words(_best_clauses(_CLAUSE.split(text)), MAX_PROMPT_WORDS)
    text = text.rstrip(_MARKS)
    return text[:1].upper() + text[1:]


def scenes(turns: Iterable[Turn], count: int) -> tuple[str, ...]:
    """The `count` most visual sentences of a dialogue in its order; fewer when fewer have anything to show."""
    visual: list[tuple[int, int, str]] = []
    seen: set[str] = set()
    position = 0
    for turn in turns:
        for sentence in sentences(turn.text):
            position += 1
            prompt = drawing_prompt(sentence)
            value = _value(prompt)
            if value > 0 and num_words(prompt) >= _MIN_PROMPT_WORDS and prompt.lower() not in seen:
                seen.add(prompt.lower())
                visual.append((-value, position, prompt))
    best = sorted(visual)[:count]
    return tuple(prompt for _, _, prompt in sorted(best, key=lambda scene: scene[1]))


def _value(text: str) -> int:
    return weight(visual_lemmas(text), num_abstract(text))


def _best_clauses(clauses: list[str]) -> str:
    """The run of neighbouring clauses, within the prompt's length, that shows most; of equal ones the first."""
    runs = []
    for start in range(len(clauses)):
        run = ""
        for clause in clauses[start:]:
            longer = run + clause
            if run and num_words(longer) > MAX_PROMPT_WORDS:
                break
            run = longer
            runs.append(run)
    return max(runs, key=_value)
