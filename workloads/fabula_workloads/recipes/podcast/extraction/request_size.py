"""How large an extraction request and its reply are, before one is sent: at most for quota and budget, else likely.

A quota or budget that reserves too little is broken; an estimate that adds up such reserves promises too high a bill.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fabula_api.recipes.podcast.build import Extraction

LEAST_CHARACTERS_PER_TOKEN, LIKELY_CHARACTERS_PER_TOKEN = 3.5, 4.0
"""Of text in Latin letters. What is reserved before a call goes by the former, which costs only a little pace."""
_MOST_TOKENS_OF_A_CHARACTER, _LIKELY_TOKENS_OF_A_CHARACTER = 2.0, 1.0
"""Of other scripts, whose characters take more than one only where a tokenizer falls back to their bytes."""
_OTHER_SCRIPT = re.compile(r"[^\u0000-\u024f\u2000-\u206f]")
_TOKENS_PER_WORD, _TOKENS_PER_SCENE, _FILL = 1.5, 50, 0.8
_LIKELY_TOKENS_PER_SCENE = 35
_AROUND_A_TOOL = 300
"""Tokens, about, that the provider adds to a request that has a tool."""


def estimated_tokens(request: Mapping[str, Any]) -> int:
    """Tokens of a Converse request's input by its characters, rather too many than too few."""
    # The tool's schema is part of the input, with some words of the provider's own around it.
    most = _tokens(_texts(request), LEAST_CHARACTERS_PER_TOKEN, _MOST_TOKENS_OF_A_CHARACTER)
    return math.ceil(most) + 700


def likely_tokens(request: Mapping[str, Any]) -> float:
    """Tokens that a Converse request's input probably has."""
    schema = json.dumps(request["toolConfig"]["tools"])
    return likely_tokens_of(*_texts(request), schema) + _AROUND_A_TOOL


def likely_tokens_of(*texts: str) -> float:
    """Tokens that texts probably have."""
    return _tokens(texts, LIKELY_CHARACTERS_PER_TOKEN, _LIKELY_TOKENS_OF_A_CHARACTER)


def _tokens(texts: Iterable[str], characters_per_token: float, tokens_of_a_character: float) -> float:
    characters, others = 0, 0
    for text in texts:
        characters += len(text)
        others += 0 if text.isascii() else sum(1 for _ in _OTHER_SCRIPT.finditer(text))
    return (characters - others) / characters_per_token + others * tokens_of_a_character


def _texts(request: Mapping[str, Any]) -> list[str]:
    texts = [block["text"] for block in request["system"]]
    return texts + [block["text"] for message in request["messages"] for block in message["content"]]


def likely_tokens_of_an_excerpt(text_tokens: float, num_scenes: int) -> float:
    """Tokens that an excerpt whose text has so many probably takes in a reply, with its scenes."""
    return text_tokens + num_scenes * _LIKELY_TOKENS_PER_SCENE


def tokens_of_an_excerpt(words: float, num_scenes: int) -> float:
    """Tokens that an excerpt with its scenes takes in a reply, rather too many than too few."""
    return words * _TOKENS_PER_WORD + num_scenes * _TOKENS_PER_SCENE


def most_in_a_reply(asked: Extraction, num_scenes: int) -> int:
    """How many excerpts of the longest sort fit into one reply."""
    longest = tokens_of_an_excerpt(asked.words.max, num_scenes)
    return max(1, min(asked.max_excerpts, int(asked.max_tokens * _FILL / longest)))
