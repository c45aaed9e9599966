"""An answer that is a dialogue: who says what. How labels are told from text is its recipe's to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from fabula_workloads.metrics.reading import Reading
from fabula_workloads.text.words import num_words


@dataclass(frozen=True, slots=True)
class Turn:
    """One labelled stretch of speech. `speaker` is the label, as the grammar has it."""

    speaker: str
    text: str

    @property
    def num_words(self) -> int:
        """Words, as `text.words` counts them in any script; the label is not among them."""
        return num_words(self.text)


@dataclass(frozen=True, kw_only=True)
class Dialogue(Reading):
    """What metrics that read `dialogue` see."""

    turns_of: Callable[[str], list[Turn]]
    """The grammar."""

    @cached_property
    def turns(self) -> list[Turn]:
        """Its turns."""
        return self.turns_of(self.text)

    @property
    def passages(self) -> Sequence[str]:
        """What each turn says."""
        return [turn.text for turn in self.turns]

    @property
    def num_words(self) -> int:
        """Spoken words."""
        return sum(turn.num_words for turn in self.turns)
