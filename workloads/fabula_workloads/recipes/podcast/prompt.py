"""The instruction a model sees with the pictures, in one place: training and inference may not drift apart.

Training asks for the range that holds the target's length, inference for "around" a number, as in the published run.
"""

from __future__ import annotations

PROMPT_VERSION = "podcast-v3"
"""Recorded with samples and adapters. Change it with every change of the words below."""

_DIALOGUE = (
    "Generate a natural conversational podcast dialogue. Use the format Speaker 1:, Speaker 2:, Speaker 3:, etc. "
    'for multiple speakers. Do not reference the images or use phrases like "our first image". Write casual, authentic '
    "spoken dialogue without introductions or sign-offs. The word count should be around {words} words."
)


def word_range(word_count: int) -> str:
    """The hundred that holds `word_count`: 749 gives `700-800`, 800 gives `800-900`."""
    lower = word_count // 100 * 100
    return f"{lower}-{lower + 100}"


def training_prompt(word_count: int) -> str:
    """The prompt of a training sample whose target has `word_count` words (whitespace-separated, labels included)."""
    return _DIALOGUE.format(words=word_range(word_count))


def inference_prompt(words: int = 800) -> str:
    """The prompt of an evaluation that asks for about `words` words."""
    return _DIALOGUE.format(words=words)
