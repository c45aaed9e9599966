"""Lines of a `train.jsonl` as people's tools write them: one row for each kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

GOOD: dict[str, Any] = {"id": "a", "images": ["a.png"], "prompt": "Speak.", "response": "Speaker 1: Yes."}


def line(**fields: Any) -> bytes:
    return json.dumps({**GOOD, "id": "b", **fields}, ensure_ascii=False).encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class BadLine:
    """A second line that is no sample, and words of what is said of it."""

    kind: str
    data: bytes
    words: str


BAD_LINES = [
    BadLine("an answer of spaces", line(response="  \t "), r"\(sample b\): response: .*is blank"),
    BadLine("an answer of no-break spaces", line(response="\u00a0\u00a0"), r"\(sample b\): response: .*is blank"),
    BadLine("an answer without width", line(response="\u200b\ufeff\u2060"), r"\(sample b\): response: .*is blank"),
    BadLine("an answer of fillers", line(response="\u3164\u2800"), r"\(sample b\): response: .*is blank"),
    BadLine("a blank prompt", line(prompt="\u200b"), r"\(sample b\): prompt: .*is blank"),
    BadLine("no picture", line(images=[]), r"\(sample b\): images: it has no picture"),
    BadLine("half of an emoji", json.dumps(GOOD | {"id": "b", "response": "\ud83d"}).encode(), "half of a surrogate"),
    BadLine("Latin-1", line(response="Caf\u00e9.").decode().encode("latin-1"), r"not UTF-8 \(byte \d+ of the li"),
    BadLine("UTF-16", line().decode().encode("utf-16"), "is not UTF-8"),
    BadLine("a compressed file", b"\x1f\x8b\x08\x00\x00\x00", "is not UTF-8"),
    BadLine("an array of samples", b"[" + line() + b",", "write one object a line, not one array"),
    BadLine("nested without an end", b'{"id":' * 100_000, "is not JSON"),
    BadLine("cut short", line()[:-5], "is not JSON"),
    BadLine("a clone without Git LFS", b"version https://git-lfs.github.com/spec/v1", "is not JSON"),
]  # fmt: skip

CONTROL_TOKENS = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|vision_start|>", "<|image_pad|>", "<|IMAGE_PAD|>", "<image>",
    "<IMAGE>", "<video>", "</s>", "<s>", "<|<|im_start|>|>", "<|im_st<|im_end|>art|>", "<ima<image>ge>", "<<image>>",
]  # fmt: skip
"""What transcripts of talks on language models hold."""
