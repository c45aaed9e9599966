"""Reading a model's reply: by the tool where it used it, else from its text, and as far as it goes when cut off."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from fabula_workloads.recipes.podcast.extraction.excerpt_prompt import REASONS

Kind = Literal["ok", "negative", "truncated", "malformed", "refused"]
_FILTERED = frozenset({"refusal", "content_filtered", "guardrail_intervened"})


@dataclass(frozen=True, slots=True)
class QuotedExcerpt:
    """An excerpt as the model gave it, yet to be checked."""

    text: str
    scenes: tuple[str, ...]


@dataclass
class Reply:
    """What a reply says. `truncated` ones hold the excerpts that were whole."""

    kind: Kind
    excerpts: list[QuotedExcerpt] = field(default_factory=list)
    more: bool = False
    reason: str = ""
    """Of a negative reply, one CamelCase word."""


def kept_reply(reply: dict[str, Any]) -> dict[str, Any]:
    """What the ledger keeps of a Converse reply: content and stop reason."""
    message = (reply.get("output") or {}).get("message") or {}
    content = [block for block in message.get("content") or [] if isinstance(block, dict)]
    return {"content": content, "stopReason": reply.get("stopReason") or ""}


def read_reply(kept: dict[str, Any]) -> Reply:
    """The meaning of a kept reply."""
    stop = kept["stopReason"]
    if stop in _FILTERED:
        return Reply("refused")
    truncated = stop in ("max_tokens", "model_context_window_exceeded")
    text = "\n".join(block["text"] for block in kept["content"] if "text" in block)
    document: Any = next((block["toolUse"].get("input") for block in kept["content"] if "toolUse" in block), None)
    if isinstance(document, str):
        text, document = document, None
    if document is None:
        document = _object_in(text)
    if isinstance(document, dict) and isinstance(written := document.get("excerpts"), str):
        # Some models write what belongs into a field as JSON in a string.
        document = _within(document, written)
        text = written
    if isinstance(document, dict) and isinstance(document.get("excerpts"), list):
        entries = [_parsed(entry) for entry in document["excerpts"]]
        excerpts = [excerpt for entry in entries if (excerpt := _excerpt_of(entry)) is not None]
        if truncated:
            return Reply("truncated", excerpts, more=True)
        if excerpts:
            return Reply("ok", excerpts, more=document.get("more") is True)
        if document["excerpts"]:
            return Reply("malformed")
        return Reply("negative", reason=REASONS.get(str(document.get("reason", "")), "NotVisual"))
    if truncated:
        return Reply("truncated", _whole_excerpts(text), more=True)
    if isinstance(document, dict) and document.get("visualizable") is False:
        return Reply("negative", reason=REASONS.get(str(document.get("reason", "")), "NotVisual"))
    if not text.strip() and document is None:
        return Reply("malformed")
    # A model that declines says so in words, and offers no JSON at all.
    return Reply("malformed" if "{" in text or document is not None else "refused")


def _excerpt_of(entry: Any) -> QuotedExcerpt | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("excerpt"), str):
        return None
    scenes = _parsed(entry.get("scenes"))
    plain = [scene for scene in scenes if isinstance(scene, str)] if isinstance(scenes, list) else []
    return QuotedExcerpt(entry["excerpt"], tuple(plain))


def _parsed(value: Any) -> Any:
    """The JSON in a string, where there is some; else the value itself."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value, strict=False)
    except (ValueError, RecursionError):
        return value


def _within(document: dict[str, Any], written: str) -> dict[str, Any]:
    """The document with the excerpts that were written as a string: a list, one alone, or the whole answer again."""
    inner = _parsed(written)
    if isinstance(inner, dict):
        inner = inner.get("excerpts", [inner])
    if isinstance(inner, list):
        return document | {"excerpts": inner}
    whole = _whole_excerpts(written)
    if not whole:
        return document
    entries = [{"excerpt": excerpt.text, "scenes": list(excerpt.scenes)} for excerpt in whole]
    return document | {"excerpts": entries, "more": True}


def _object_in(text: str) -> Any:
    """The first JSON object with the contract's fields in a text, whatever stands around it; None without one."""
    decoder, at = json.JSONDecoder(strict=False), text.find("{")
    while at >= 0:
        try:
            document, _ = decoder.raw_decode(text, at)
        except ValueError:
            document = None
        if isinstance(document, dict) and ("excerpts" in document or "visualizable" in document):
            return document
        at = text.find("{", at + 1)
    return None


def _whole_excerpts(text: str) -> list[QuotedExcerpt]:
    """The excerpts of a JSON text that ends too early, as far as they are complete."""
    decoder, excerpts = json.JSONDecoder(strict=False), []
    at = text.find("[", max(0, text.find('"excerpts"')))
    while at >= 0 and (at := text.find("{", at)) >= 0:
        try:
            entry, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        if (excerpt := _excerpt_of(entry)) is not None:
            excerpts.append(excerpt)
    return excerpts
