"""The reference system's transcript file: four header lines, a blank line, the dialogue.

Answers are written in it so that the published evaluation scripts read ours, and theirs can be scored here.
"""

from __future__ import annotations

_RULE = "=" * 60
_HEADERS = ("Sample:", "Word count:", "Generation time:", "===")


def dump(sample: str, text: str, seconds: float) -> str:
    """The file's content. The word count is the number of whitespace-separated words, labels included."""
    return f"Sample: {sample}\nWord count: {len(text.split())}\nGeneration time: {seconds:.1f}s\n{_RULE}\n\n{text}"


def load(content: str) -> str:
    """The dialogue as the published loader sees it: header-like lines are dropped *wherever* they stand.

    A file without any header line is taken whole.
    """
    lines = content.split("\n")
    if not any(line.startswith(_HEADERS) for line in lines):
        return content.strip()
    first = next(index for index, line in enumerate(lines) if line.startswith(_HEADERS))
    return "\n".join(line for line in lines[first:] if not line.startswith(_HEADERS)).strip()
