"""A row of a session: what there is to watch, and what was said of it so far."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fabula_workloads.recipes.visual_instruction.watcher.stream import Reply, Segment

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class View:
    """One row: what there is to see, hear and read, and what is being said already."""

    user: tuple[int, ...]
    segments: tuple[Segment, ...]
    positions: torch.Tensor
    """(3, length), as long as the user's stream."""
    pixels: torch.Tensor
    sound: torch.Tensor | None = None
    script: tuple[tuple[int, Reply], ...] = ()
    """Replies that are given, by the position at which each begins: they are said unless something interrupts them."""
    begins: float = 0.0
    """Second from which the model may speak by itself or answer."""
    most_tokens: int = 128
    """Of one reply."""


@dataclass(slots=True)
class Spoken:
    """A reply that was made."""

    at: float
    """Second of the segment that brought it."""
    score: float | None
    """Figure that passed the threshold; None for an answer to what was asked."""
    tokens: list[int] = field(default_factory=list)
    ended: bool = False
    interrupted: bool = False
    """Something to be spoken to came before its end."""
    decision_seconds: float = 0.0
    """Of work, from the frame or the question that brought it to the decision to speak."""
    first_token_seconds: float = 0.0
    """Of work, from the decision to the first word."""


@dataclass(slots=True)
class Row:
    """A view, and where watching it stands."""

    view: View
    script: dict[int, int]
    """Tokens that are given, by position."""
    decides: dict[int, Segment]
    """Segments after which something is decided, by position."""
    recent: deque[float]
    """Scores of the last frames."""
    said: list[Spoken] = field(default_factory=list)
    speaking: Spoken | None = None
    armed: bool = True
    """Whether the figure was low since it was last acted on: one event is spoken to once."""
    next_token: int | None = None
    done: bool = False
    broken: bool = False
    came: float | None = None
    """When work on what comes before the next decision began, on a clock of seconds."""
    decided_at: float = 0.0
    pictures_taken: int = 0
    sounds_taken: int = 0
    seen: list[torch.Tensor] = field(default_factory=list)
    """Vectors of the last picture whose places have not all come, by layer."""
    heard: list[torch.Tensor] = field(default_factory=list)
    fed: list[int] = field(default_factory=list)
    """What the model heard itself say, position by position."""


def row_of(view: View, frames: int) -> Row:
    """A row of which nothing was watched yet; `frames` as the threshold counts."""
    script = {start + number: token for start, reply in view.script for number, token in enumerate(reply.ids)}
    scripted = {start - 1 for start, _ in view.script}
    decides = {
        segment.place: segment
        for segment in view.segments
        if segment.kind in ("picture", "text") and segment.at >= view.begins and segment.place not in scripted
    }
    return Row(view, script, decides, deque(maxlen=frames))
