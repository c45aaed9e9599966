"""A sample as chat messages: pictures first, then prompt and target. Training and inference both build it here."""

from __future__ import annotations

from typing import Any


def messages(num_images: int, prompt: str, response: str | None = None) -> list[dict[str, Any]]:
    """Chat messages with `num_images` image placeholders before the prompt; with `response`, the target's turn as well.

    The placeholders carry no data: the processor is given the pictures beside the text, in the same order.
    """
    content: list[dict[str, str]] = [{"type": "image"} for _ in range(num_images)]
    content.append({"type": "text", "text": prompt})
    chat: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if response is not None:
        chat.append({"role": "assistant", "content": [{"type": "text", "text": response}]})
    return chat
