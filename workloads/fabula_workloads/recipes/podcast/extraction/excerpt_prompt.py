"""What a language model is asked for: excerpts that can be seen, word for word, through one tool.

The words here decide what is paid for, so they are versioned, and their digest goes into every outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fabula_api.artifact import digest_of

EXCERPT_PROMPT_VERSION = "excerpts-v1"
"""Change it, and the version of the `extract` stage, with every change of the words below."""
TOOL = "record_excerpts"
REASONS = {
    "abstract": "NotVisual",
    "monologue": "Monologue",
    "advertising": "Advertising",
    "poor_transcript": "PoorTranscript",
    "unsafe": "Unsafe",
}
"""Why a transcript holds no excerpt: the model's words, and ours."""

SYSTEM = f"""\
You choose material for a set of dialogues about things that can be seen. You read a podcast transcript with \
numbered speakers and pick the stretches that a photographer could illustrate. You answer only through the tool \
{TOOL}.

An excerpt
- is one unbroken run of the transcript, copied word for word with its speaker labels and blank lines. Correct \
nothing, shorten nothing, join nothing, add nothing: every excerpt is compared with the transcript, and one that \
differs is lost;
- starts at the beginning of a turn and ends at the end of one;
- is as long as the limits say, counted in words with the labels;
- stays with one place, event, object or activity, and lets a listener see it: things, people, places, colours, \
movement;
- is a conversation: at least two speakers who react to each other.

Pass over advertising and announcements, argument about ideas, greetings and goodbyes, stretches that repeat a \
phrase, are mostly filler words, are cut up by marks such as [inaudible] or [laughter], or that make no sense. \
Pass over sexual content, graphic violence, hatred, instructions for crime or drug use, heavy swearing, and \
whatever an image model would decline to draw. Excerpts never overlap.

For each excerpt write exactly as many scenes as the limits say, in the order in which they come up. A scene is \
one sentence that says what a single photograph would show: one moment, concrete things, setting and light. No \
names of real people, no writing in the picture, nothing that cannot be shown, nothing unsafe to draw. Each \
scene must make sense alone.

Return at most as many excerpts as the limits say, the most visual first; set "more" to true when the transcript \
holds further ones. When it holds none, set "visualizable" to false and say why in "reason"."""

ONCE_MORE = {
    "malformed": "Your last answer could not be read. Answer through the tool, with the fields as its schema says.",
    "truncated": "Your last answer was cut off because it was too long. Return fewer excerpts.",
}
"""The note of the one further try, by what was wrong with the first."""


def tool(num_scenes: int) -> dict[str, Any]:
    """The tool's specification, as Converse takes it."""
    scenes = {"type": "array", "minItems": num_scenes, "maxItems": num_scenes, "items": {"type": "string"}}
    excerpt = {
        "type": "object",
        "properties": {"excerpt": {"type": "string"}, "scenes": scenes},
        "required": ["excerpt", "scenes"],
    }
    schema = {
        "type": "object",
        "properties": {
            "visualizable": {"type": "boolean"},
            "reason": {"type": "string", "enum": list(REASONS)},
            "excerpts": {"type": "array", "items": excerpt},
            "more": {"type": "boolean"},
        },
        "required": ["visualizable", "excerpts", "more"],
    }
    about = "Records the excerpts that were chosen, or that there are none."
    return {"toolSpec": {"name": TOOL, "description": about, "inputSchema": {"json": schema}}}


def user_text(
    transcript: str, *, words: tuple[int, int], most: int, num_scenes: int, known: Sequence[str] = (), note: str = ""
) -> str:
    """The request for one transcript. `known` are openings of excerpts that are known already."""
    parts = [
        f'<limits words_min="{words[0]}" words_max="{words[1]}" excerpts_max="{most}" scenes="{num_scenes}"/>',
        f"<transcript>\n{transcript}\n</transcript>",
    ]
    if known:
        parts.append("Excerpts that begin like these are known already. Return others, which overlap none of them.")
        parts.append("<found>\n" + "\n".join(known) + "\n</found>")
    return "\n\n".join([*parts, note] if note else parts)


def converse_request(text: str, *, num_scenes: int, max_tokens: int) -> dict[str, Any]:
    """Everything of a Converse call but the model."""
    return {
        "system": [{"text": SYSTEM}],
        "messages": [{"role": "user", "content": [{"text": text}]}],
        # Copying needs no variety.
        "inferenceConfig": {"maxTokens": max_tokens, "temperature": 0.0},
        "toolConfig": {"tools": [tool(num_scenes)], "toolChoice": {"tool": {"name": TOOL}}},
    }


def excerpt_prompt_digest() -> str:
    """`sha256:<hex>` of all words that the model is given beside the transcript."""
    blank = user_text("", words=(0, 0), most=0, num_scenes=0, known=("",))
    return digest_of([SYSTEM, tool(0), ONCE_MORE, blank])
