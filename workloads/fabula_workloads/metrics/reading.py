"""One answer as the function of a metric sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """One answer as its recipe reads it under a profile. What a recipe reads more is in a class below this one."""

    answer: str
    """The answer itself."""
    text: str
    """The text that the profile makes of it."""
    flaw: str | None = None
    """The first rule of its format that it breaks, as one CamelCase word."""

    @property
    def passages(self) -> Sequence[str]:
        """What is said, in parts that belong together, without labels; none where the answer cannot be read."""
        return [self.text] if self.text.strip() else []


TextMetric = Callable[[Reading], float | None]
"""A figure of one answer; None where it has none."""
