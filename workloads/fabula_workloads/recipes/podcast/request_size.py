"""How large an extraction request and its reply are, before one is sent: at most for quota and budget, else likely.

A quota or budget that reserves too little is broken; an estimate that adds up such reserves promises too high a bill.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from fabula_api.dataset_build import Extraction

LEAST_CHARACTERS_PER_TOKEN, LIKELY_CHARACTERS_PER_TOKEN = 3.5, 4.0
"""Of English text. What is reserved before a call goes by the former, which costs only a little pace."""
_TOKENS_PER_WORD, _TOKENS_PER_SCENE, _FILL = 1.5, 50, 0.8
_LIKELY_TOKENS_PER_SCENE = 35
_AROUND_A_TOOL = 300
"""Tokens, about, that the provider adds to a request that has a tool."""


def estimated_tokens(request: Mapping[str, Any]) -> int:
    """Tokens of a Converse request's input by its characters, rather too many than too few."""
    # The tool's schema is part of the input, with some words of the provider's own around it.
    return math.ceil(_characters(request) / LEAST_CHARACTERS_PER_TOKEN) + 700


def likely_tokens(request: Mapping[str, Any]) -> float:
    """Tokens that a Converse request's input probably has."""
    schema = len(json.dumps(request["toolConfig"]["tools"]))
    return (_characters(request) + schema) / LIKELY_CHARACTERS_PER_TOKEN + _AROUND_A_TOOL


def _characters(request: Mapping[str, Any]) -> int:
    texts = [block["text"] for block in request["system"]]
    texts += [block["text"] for message in request["messages"] for block in message["content"]]
    return sum(map(len, texts))


def likely_tokens_of_an_excerpt(characters: float, num_scenes: int) -> float:
    """Tokens that an excerpt of so many characters probably takes in a reply, with its scenes."""
    return characters / LIKELY_CHARACTERS_PER_TOKEN + num_scenes * _LIKELY_TOKENS_PER_SCENE


def tokens_of_an_excerpt(words: float, num_scenes: int) -> float:
    """Tokens that an excerpt with its scenes takes in a reply, rather too many than too few."""
    return words * _TOKENS_PER_WORD + num_scenes * _TOKENS_PER_SCENE


def most_in_a_reply(asked: Extraction, num_scenes: int) -> int:
    """How many excerpts of the longest sort fit into one reply."""
    one = tokens_of_an_excerpt(asked.words.max, num_scenes)
    return max(1, min(asked.max_excerpts, int(asked.max_tokens * _FILL / one)))
