"""The marks that a watcher adds to a vocabulary: tokens of the tokenizer, whose numbers it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fabula_workloads.runtime.failures import ConfigInvalid

SEGMENT, ANSWER, REMARK, QUIET = "<|fabula_segment|>", "<|fabula_answer|>", "<|fabula_remark|>", "<|fabula_quiet|>"
MARKS = (SEGMENT, ANSWER, REMARK, QUIET)
"""The end of a block; before an answer to what was asked; before what is said unasked; while nothing is said."""


@dataclass(frozen=True, slots=True)
class MarkIds:
    """Their numbers, and that of the end of a reply."""

    segment: int
    answer: int
    remark: int
    quiet: int
    end: int

    @property
    def marks(self) -> tuple[int, int, int, int]:
        """In the order of `MARKS`."""
        return self.segment, self.answer, self.remark, self.quiet


class Words:
    """A tokenizer with the marks."""

    def __init__(self, tokenizer: Any) -> None:
        """Adds the marks to `tokenizer`, where it has them not."""
        if tokenizer.eos_token_id is None:
            raise ConfigInvalid("model: its tokenizer has no end token, which ends a reply; use another model")
        tokenizer.add_tokens(list(MARKS), special_tokens=True)
        segment, answer, remark, quiet = (int(tokenizer.convert_tokens_to_ids(mark)) for mark in MARKS)
        self.tokenizer = tokenizer
        self.ids = MarkIds(segment, answer, remark, quiet, int(tokenizer.eos_token_id))

    def ids_of(self, text: str) -> list[int]:
        """Token ids of a text. Marks that stand in it are words like others, and mark nothing."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids

    def reply(self, text: str, *, unasked: bool) -> tuple[int, ...]:
        """A reply between its mark and the end token."""
        return self.ids.remark if unasked else self.ids.answer, *self.ids_of(text), self.ids.end

    def text(self, ids: list[int]) -> str:
        """What was said, in one line."""
        kept = [token for token in ids if token not in self.ids.marks and token != self.ids.end]
        return " ".join(self.tokenizer.decode(kept, skip_special_tokens=True).split())
