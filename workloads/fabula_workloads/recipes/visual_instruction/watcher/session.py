"""Watching position by position: each frame is decided on as it comes, and what is said is heard by the model itself.

Rows of a batch begin at position 0 and go on side by side, so nothing is masked, and a row says what it would alone.
Between two positions at which something is decided, and while nothing of its own is said, positions are taken together.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from fabula_api.recipes.visual_instruction.watch import Threshold
from fabula_workloads.recipes.visual_instruction.watcher.hearing import TOKENS
from fabula_workloads.recipes.visual_instruction.watcher.model import Shown, Watcher
from fabula_workloads.recipes.visual_instruction.watcher.stream import PICTURE, SOUND, Reply, Segment


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
    first_token_seconds: float = 0.0
    """Of work, from the decision to the first word."""


@dataclass(slots=True)
class _Row:
    view: View
    script: dict[int, int]
    decides: dict[int, Segment]
    recent: deque[float]
    said: list[Spoken] = field(default_factory=list)
    speaking: Spoken | None = None
    armed: bool = True
    """Whether the figure was low since it was last acted on: one event is spoken to once."""
    next_token: int | None = None
    done: bool = False
    broken: bool = False
    decided_at: float = 0.0
    pictures_taken: int = 0
    sounds_taken: int = 0
    seen: list[torch.Tensor] = field(default_factory=list)
    """Vectors of the last picture whose places have not all come, by layer."""
    heard: list[torch.Tensor] = field(default_factory=list)
    fed: list[int] = field(default_factory=list)
    """What the model heard itself say, position by position."""


class Session:
    """A batch of views, watched to its end by one model."""

    def __init__(
        self,
        watcher: Watcher,
        threshold: Threshold,
        replies: int = 1,
        told: Callable[[Spoken], None] = lambda spoken: None,
    ) -> None:
        """`replies`: after so many a row need not be watched on. `told` is given each reply once it is over."""
        self._told = told
        self._watcher, self._threshold, self._replies = watcher, threshold, replies
        self._ids = watcher.ids
        self.fed: list[list[int]] = []
        """What each row's model heard itself say, position by position, of the last batch."""

    def watch(
        self, views: Sequence[View], stop: Callable[[], bool] = lambda: False, trace: list[torch.Tensor] | None = None
    ) -> list[list[Spoken] | None]:
        """What is said in each row; None for one whose scores became no numbers. With `trace`, the hidden states of all
        positions are kept there, piece by piece."""
        from transformers import DynamicCache

        rows = [self._row(view) for view in views]
        cache = DynamicCache(config=self._watcher.base.config.get_text_config())
        place, before = 0, None
        while not all(row.done for row in rows) and not stop():
            end = self._next_stop(rows, place)
            states = self._step(rows, place, end, cache)
            if trace is not None:
                trace.append(states)
            last = states[:, -2] if end > place else before
            self._decide(rows, end, states[:, -1], last)
            before = states[:, -1]
            place = end + 1
        self.fed = [row.fed for row in rows]
        return [None if row.broken else row.said for row in rows]

    def _row(self, view: View) -> _Row:
        script = {start + number: token for start, reply in view.script for number, token in enumerate(reply.ids)}
        scripted = {start - 1 for start, _ in view.script}
        decides = {
            one.place: one
            for one in view.segments
            if one.kind in ("picture", "text") and one.at >= view.begins and one.place not in scripted
        }
        return _Row(view, script, decides, deque(maxlen=self._threshold.frames))

    def _next_stop(self, rows: Sequence[_Row], place: int) -> int:
        """The next position at which something has to be known: any, while a row says something of its own."""
        active = [row for row in rows if not row.done]
        if any(row.speaking is not None for row in active):
            return place
        stops = [stop for row in active for stop in row.decides if stop >= place]
        ends = [len(row.view.user) - 1 for row in active]
        return max(place, min(stops) if stops else max(ends))

    def _step(self, rows: Sequence[_Row], start: int, end: int, cache: Any) -> torch.Tensor:
        """Hidden states of positions `start` to `end`, both included."""
        device = self._watcher.marks.weight.device
        quiet = self._ids.quiet
        user = [
            [quiet if row.done else _at(row.view.user, place, quiet) for place in range(start, end + 1)] for row in rows
        ]
        agent = [[self._agent(row, place) for place in range(start, end + 1)] for row in rows]
        for row, said in zip(rows, agent, strict=True):
            row.fed += said
        positions = torch.stack([_positions(row.view, start, end) for row in rows], dim=1)
        shown = self._shown(rows, user)
        return self._watcher.states(
            torch.tensor(agent, device=device), torch.tensor(user, device=device), positions.to(device), shown, cache
        )

    def _agent(self, row: _Row, place: int) -> int:
        if row.next_token is not None:
            token, row.next_token = row.next_token, None
            return token
        return row.script.get(place, self._ids.quiet)

    def _shown(self, rows: Sequence[_Row], user: Sequence[Sequence[int]]) -> Shown:
        """Vectors of this piece. A picture or a second of sound is taken when its first place comes, never before."""
        high, wide = self._watcher.family.grid
        pictures = [_due(ids.count(PICTURE), row.seen, high * wide) for row, ids in zip(rows, user, strict=True)]
        sounds = [_due(ids.count(SOUND), row.heard, TOKENS) for row, ids in zip(rows, user, strict=True)]
        if sum(pictures) or sum(sounds):
            self._encode(rows, pictures, sounds)
        seen, heard = [], []
        for row, ids in zip(rows, user, strict=True):
            seen.append([one[: ids.count(PICTURE)] for one in row.seen])
            row.seen = [one[ids.count(PICTURE) :] for one in row.seen]
            heard += [one[: ids.count(SOUND)] for one in row.heard]
            row.heard = [one[ids.count(SOUND) :] for one in row.heard]
        layers = max(map(len, seen))
        weight = self._watcher.marks.weight
        whole = [torch.cat([row[layer] for row in seen if len(row) > layer]) for layer in range(layers)]
        if not whole or not len(whole[0]):
            whole = [weight.new_zeros(0, weight.shape[1])]
        sound = torch.cat(heard) if heard and sum(map(len, heard)) else None
        return Shown(whole[0], tuple(whole[1:]), sound)

    def _encode(self, rows: Sequence[_Row], pictures: Sequence[int], sounds: Sequence[int]) -> None:
        weight = self._watcher.marks.weight
        pixels, waves = [], []
        for row, count, seconds in zip(rows, pictures, sounds, strict=True):
            pixels.append(row.view.pixels[row.pictures_taken : row.pictures_taken + count])
            row.pictures_taken += count
            if row.view.sound is not None:
                waves.append(row.view.sound[row.sounds_taken : row.sounds_taken + seconds])
                row.sounds_taken += seconds
        if sum(pictures):
            seen = self._watcher.family.pictures(self._watcher.base, torch.cat(pixels).to(weight))
            start = 0
            for row, count in zip(rows, pictures, strict=True):
                new = [one[start : start + count].flatten(0, 1) for one in (seen.values, *seen.deep)]
                row.seen = [torch.cat(both) for both in zip(row.seen, new, strict=True)] if row.seen else new
                start += count
        if sum(sounds) and self._watcher.hearing is not None:
            values = self._watcher.hearing(torch.cat(waves).to(weight))
            start = 0
            for row, count in zip(rows, sounds, strict=True):
                fresh = values[start : start + count].flatten(0, 1)
                row.heard = [torch.cat([*row.heard, fresh])]
                start += count

    def _decide(self, rows: Sequence[_Row], place: int, states: torch.Tensor, before: torch.Tensor | None) -> None:
        """What each row does after position `place`. `before` are the states of the position before."""
        logits = self._watcher.logits(states)
        size = logits.shape[-1] - len(self._ids.marks)
        tokens = self._watcher.token_of(logits.argmax(-1), size).tolist()
        finite = torch.isfinite(logits).all(-1).tolist()
        scores: list[float] | None = None
        if self._watcher.head is not None and before is not None:
            scores = torch.sigmoid(self._watcher.head(before).float()).tolist()
        now = time.monotonic()
        for number, row in enumerate(rows):
            if row.done:
                continue
            if not finite[number]:
                row.broken = row.done = True
                continue
            segment = row.decides.get(place)
            if row.speaking is not None:
                self._speak_on(row, tokens[number], now)
            elif segment is not None and segment.kind == "text" and tokens[number] != self._ids.quiet:
                self._begin(row, segment, None, self._ids.answer, now)
            if segment is not None and segment.kind == "picture" and scores is not None:
                self._look(row, segment, scores[number], now)
            if row.speaking is None and (place >= len(row.view.user) - 1 or len(row.said) >= self._replies):
                row.done = True

    def _speak_on(self, row: _Row, token: int, now: float) -> None:
        speaking = row.speaking
        assert speaking is not None
        if not speaking.tokens:
            speaking.first_token_seconds = now - row.decided_at
        if token == self._ids.end:
            speaking.ended, row.speaking = True, None
            row.next_token = token
            self._told(speaking)
        elif len(speaking.tokens) >= row.view.most_tokens:
            row.speaking = None
            self._told(speaking)
        else:
            speaking.tokens.append(token)
            row.next_token = token

    def _look(self, row: _Row, segment: Segment, score: float, now: float) -> None:
        """Decide at a frame. A reply of one's own, or one that is given, is interrupted by what is new."""
        row.recent.append(score)
        figure = sum(row.recent) / (len(row.recent) if self._threshold.over == "mean" else 1)
        if figure <= self._threshold.above:
            row.armed = True
        elif row.armed and len(row.said) < self._replies:
            if row.speaking is not None:
                row.speaking.interrupted = True
                self._told(row.speaking)
            self._begin(row, segment, figure, self._ids.remark, now)

    def _begin(self, row: _Row, segment: Segment, score: float | None, mark: int, now: float) -> None:
        row.speaking = Spoken(segment.at, score)
        row.said.append(row.speaking)
        row.next_token, row.decided_at = mark, now
        row.script, row.armed = {}, score is None
        row.recent.clear()


def _due(places: int, held: Sequence[torch.Tensor], each: int) -> int:
    """Pictures or seconds that have to be looked at for so many places."""
    return -(-max(0, places - (len(held[0]) if held else 0)) // each)


def _at(values: Sequence[int], place: int, fill: int) -> int:
    return values[place] if place < len(values) else fill


def _positions(view: View, start: int, end: int) -> torch.Tensor:
    """(3, places) of a piece; behind the user's stream they go on one by one."""
    known = view.positions[:, start : end + 1]
    missing = end + 1 - start - known.shape[1]
    if not missing:
        return known
    after = view.positions.max() + 1 + max(0, start - view.positions.shape[1])
    return torch.cat([known, (after + torch.arange(missing)).expand(3, -1)], dim=1)
