"""How large an extraction request and its reply are, before one is sent: for quota, budget and estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fabula_api.dataset_build import Extraction

CHARACTERS_PER_TOKEN = 3.5
"""For estimates before a call; English has about 4, and an estimate that is too high costs only a little pace."""
_TOKENS_PER_WORD, _TOKENS_PER_SCENE, _FILL = 1.5, 50, 0.8


def estimated_tokens(request: Mapping[str, Any]) -> int:
    """Tokens of a Converse request's input, by its characters."""
    texts = [block["text"] for block in request["system"]]
    texts += [block["text"] for message in request["messages"] for block in message["content"]]
    # The tool's schema is part of the input, with some words of the provider's own around it.
    return math.ceil(sum(map(len, texts)) / CHARACTERS_PER_TOKEN) + 700


def tokens_of_an_excerpt(words: float, num_scenes: int) -> float:
    """Tokens that an excerpt with its scenes takes in a reply."""
    return words * _TOKENS_PER_WORD + num_scenes * _TOKENS_PER_SCENE


def most_in_a_reply(asked: Extraction, num_scenes: int) -> int:
    """How many excerpts of the longest sort fit into one reply."""
    one = tokens_of_an_excerpt(asked.words.max, num_scenes)
    return max(1, min(asked.max_excerpts, int(asked.max_tokens * _FILL / one)))
