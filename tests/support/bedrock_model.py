"""What the stand-in's models say: excerpts cut from the transcript in the prompt, and small pictures, both by the book.

Deterministic: the same request gets the same answer, with the flaws that its `Manner` asks for.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import random
import re
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

_TURN = re.compile(r"^(Speaker \d+): (.*)$", re.MULTILINE)
_TAG = r"<{0}>\s*(.*?)\s*</{0}>"
_LIMIT = re.compile(r'(\w+)="(\d+)"')
_WORDS_BETWEEN_EXCERPTS = 120
CHARACTERS_PER_TOKEN = 4
_NUM_FIELDS = 14 * 8
SIZES = {"16:9": (1344, 768), "1:1": (1024, 1024)}


@dataclass(frozen=True)
class Manner:
    """How truthful the language model is; shares from 0 to 1 of its excerpts."""

    paraphrase: float = 0
    """Excerpts with other words than the transcript's."""
    wrong_speakers: float = 0
    """Excerpts whose labels are swapped."""
    wrong_word_count: float = 0
    """Excerpts whose `word_count` is made up."""
    too_short: float = 0
    """Excerpts that stop far below the asked length."""
    not_visual: float = 0
    """Transcripts said to hold nothing to see."""
    reports_more: bool = True
    """Whether it says truthfully that there is more than it returned."""


def num_tokens(text: str) -> int:
    """Tokens of a text, four characters each."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def tagged(text: str, name: str) -> str | None:
    """What stands between `<name>` and `</name>`; None without them."""
    match = re.search(_TAG.format(name), text, re.DOTALL)
    return match.group(1) if match else None


def limits(text: str) -> dict[str, int]:
    """The numbers of the prompt's `<limits .../>`, with those of the published run where it has none."""
    match = re.search(r"<limits [^>]*>", text)
    asked = {name: int(value) for name, value in _LIMIT.findall(match.group(0))} if match else {}
    return {"words_min": 600, "words_max": 800, "excerpts_max": 100, "scenes": 5} | asked


def turns_of(transcript: str) -> list[tuple[str, str]]:
    """(label, text) of each turn of a transcript."""
    return [(match.group(1), match.group(2)) for match in _TURN.finditer(transcript)]


def answer(prompt: str, manner: Manner) -> dict[str, Any]:
    """What an honest model would return for the prompt's transcript, in the contract's fields."""
    transcript = tagged(prompt, "transcript") or prompt
    dice = random.Random(hashlib.sha256(transcript.encode()).digest())
    asked, known = limits(prompt), (tagged(prompt, "found") or "")
    if dice.random() < manner.not_visual:
        return {"visualizable": False, "reason": "abstract", "excerpts": [], "more": False}
    windows = [text for text in _windows(turns_of(transcript), asked) if _opening(text) not in known]
    taken = windows[: asked["excerpts_max"]]
    excerpts = [_excerpt(text, asked["scenes"], manner, dice) for text in taken]
    more = manner.reports_more and len(windows) > len(taken)
    return {
        "visualizable": bool(excerpts),
        "reason": "" if excerpts else "abstract",
        "excerpts": excerpts,
        "more": more,
    }


def _windows(turns: list[tuple[str, str]], asked: dict[str, int]) -> list[str]:
    """Runs of whole turns of the asked length, with a stretch left out between two of them."""
    windows: list[str] = []
    start = 0
    goal = (asked["words_min"] + asked["words_max"]) // 2
    while start < len(turns):
        stop, length = start, 0
        while stop < len(turns) and length < goal:
            length += len(turns[stop][0].split()) + len(turns[stop][1].split())
            stop += 1
        window = turns[start:stop]
        if asked["words_min"] <= length <= asked["words_max"] and len({label for label, _ in window}) > 1:
            windows.append("\n\n".join(f"{label}: {text}" for label, text in window))
            skipped = 0
            while stop < len(turns) and skipped < _WORDS_BETWEEN_EXCERPTS:
                skipped += len(turns[stop][1].split())
                stop += 1
            start = stop
        else:
            start += 1
    return windows


def _opening(text: str) -> str:
    return " ".join(text.split()[:12])


def _excerpt(text: str, num_scenes: int, manner: Manner, dice: random.Random) -> dict[str, Any]:
    if dice.random() < manner.too_short:
        text = "\n\n".join(text.split("\n\n")[:2])
    spoken = [word.strip(".,!?\"'") for word in text.split() if len(word) > 5]
    size = max(1, len(spoken) // num_scenes)
    scenes = [
        f"A photo of {' and '.join(spoken[number * size : number * size + 3]).lower() or 'a quiet room'} on a table."
        for number in range(num_scenes)
    ]
    words = len(text.split())
    if dice.random() < manner.paraphrase:
        text = _paraphrased(text, dice)
    if dice.random() < manner.wrong_speakers:
        text = (
            text.replace("Speaker 1:", "Speaker 0:")
            .replace("Speaker 2:", "Speaker 1:")
            .replace("Speaker 0:", "Speaker 2:")
        )
    if dice.random() < manner.wrong_word_count:
        words = 750
    return {"excerpt": text, "scenes": scenes, "word_count": words}


def _paraphrased(text: str, dice: random.Random) -> str:
    """The text with every third word another, which leaves no word 5-gram of the original."""
    lines = []
    for line in text.split("\n\n"):
        label, _, said = line.partition(": ")
        words = [
            f"thing{dice.randrange(1000)}" if number % 3 == 2 else word for number, word in enumerate(said.split())
        ]
        lines.append(f"{label}: {' '.join(words)}")
    return "\n\n".join(lines)


def damaged(reply: dict[str, Any], fault: str | None, share: float) -> tuple[list[dict[str, Any]], str]:
    """(content blocks, stop reason) of a reply that meets a fault; without one, a proper use of the tool."""
    text = json.dumps(reply, ensure_ascii=False)
    if fault == "refusal":
        return [{"text": "I can't help with this transcript."}], "end_turn" if share < 0.5 else "refusal"
    if fault == "fenced":
        return [{"text": f"```json\n{text}\n```"}], "end_turn"
    if fault == "prose":
        return [
            {"text": f"Here is what I found:\n\n```json\n{text}\n```\n\nLet me know {{if}} you need more."}
        ], "end_turn"
    if fault == "malformed":
        return [{"text": text.replace('"excerpts"', "excerpts").replace("}]", "}")}], "end_turn"
    if fault == "truncated":
        if share < 0.5:
            return [{"toolUse": {"toolUseId": "tooluse_cut", "name": "record_excerpts", "input": {}}}], "max_tokens"
        return [{"text": text[: int(len(text) * share)]}], "max_tokens"
    return [{"toolUse": {"toolUseId": "tooluse_1", "name": "record_excerpts", "input": reply}}], "tool_use"


def cut_to(reply: dict[str, Any], max_tokens: int) -> dict[str, Any] | None:
    """The reply as far as it fits into `max_tokens`, with whole excerpts only; None when it fits as it is."""
    if num_tokens(json.dumps(reply, ensure_ascii=False)) <= max_tokens:
        return None
    kept = list(reply["excerpts"])
    while kept and num_tokens(json.dumps({**reply, "excerpts": kept}, ensure_ascii=False)) > max_tokens:
        kept.pop()
    return {**reply, "excerpts": kept}


def picture(prompt: str, seed: int, aspect_ratio: str, *, flat: bool = False) -> str:
    """A PNG as base64: coloured fields that depend on prompt and seed, with metadata as the real ones have.

    Only the colours of a palette are new in each, so that drawing a thousand of them costs nothing.
    """
    dice = random.Random(hashlib.sha256(f"{seed}/{prompt}".encode()).digest())
    fields = _fields(SIZES.get(aspect_ratio, (1024, 1024)))
    colours = dice.randbytes(3) * _NUM_FIELDS if flat else dice.randbytes(3 * _NUM_FIELDS)
    at = fields.index(b"PLTE") - 4
    palette = _chunk(b"PLTE", colours)
    return base64.b64encode(fields[:at] + palette + fields[at + len(palette) :]).decode()


@cache
def _fields(size: tuple[int, int]) -> bytes:
    """A PNG of 14 by 8 fields, each of a colour of its own."""
    picture = Image.frombytes("P", (14, 8), bytes(range(_NUM_FIELDS))).resize(size, Image.Resampling.NEAREST)
    picture.putpalette(bytes(3 * _NUM_FIELDS))
    buffer, origin = io.BytesIO(), PngInfo()
    origin.add_text("Software", "the stand-in")
    picture.save(buffer, "PNG", bits=8, pnginfo=origin)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
