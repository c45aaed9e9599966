"""How the answers of a recipe are read: what metrics see of them, and the rules of their format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fabula_api.metrics import ProfileName
from fabula_workloads.metrics.reading import Reading


def _plain(answer: str, profile: ProfileName) -> Reading:
    return Reading(answer, answer, None if answer.strip() else "Empty")


def _as_it_is(sample: str, text: str, seconds: float) -> str:
    return text


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What a recipe says of its answers. The usual one: an answer is text, and only an empty one is none."""

    read: Callable[[str, ProfileName], Reading] = _plain
    """The answer as metrics see it. One without passages is counted as unparseable and never as zero."""
    flaws: Mapping[str, str] = field(default_factory=lambda: {"Empty": "empty"})
    """What each rule's name says to people."""
    keeps: str | None = None
    """What is said of an answer that breaks no rule; None where there is no more to keep to than that it has text."""
    version: int = 1
    """Raise it when a rule that an answer kept is now broken, or the other way round."""
    blind: Callable[[str], str] = str.strip
    """The answer as a judge is shown it: without headers, and with labels alike in all arms, so that nothing but what
    is said tells whose it is."""
    unreadable: str = "answers without text"
    """What `unparseable` means, for people."""
    from_file: Callable[[str], str] = str.strip
    """The answer in a file's text."""
    as_file: Callable[[str, str, float], str] = _as_it_is
    """An answer as `transcripts/<sample>-<seed>.txt` has it, of sample, text and seconds."""


PLAIN = AnswerForm()
