"""Watching position by position: each frame is decided on as it comes, and what is said is heard by the model itself.

Rows of a batch begin at position 0 and go on side by side, so nothing is masked, and a row says what it would alone.
Between two positions at which something is decided, and while nothing of its own is said, positions are taken together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fabula_api.recipes.visual_instruction.watch import Threshold
from fabula_workloads.recipes.visual_instruction.watcher.model import Watcher
from fabula_workloads.recipes.visual_instruction.watching.row import Row, Spoken, View, row_of
from fabula_workloads.recipes.visual_instruction.watching.showing import shown
from fabula_workloads.recipes.visual_instruction.watching.speaking import Moment, Speaking


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
        self._watcher, self._frames = watcher, threshold.frames
        self._speaking = Speaking(watcher.ids, threshold, replies, told)
        self.fed: list[list[int]] = []
        """What each row's model heard itself say, position by position, of the last batch."""

    def watch(
        self, views: Sequence[View], stop: Callable[[], bool] = lambda: False, trace: list[torch.Tensor] | None = None
    ) -> list[list[Spoken] | None]:
        """What is said in each row; None for one whose scores became no numbers. With `trace`, the hidden states of all
        positions are kept there, piece by piece."""
        from transformers import DynamicCache

        rows = [row_of(view, self._frames) for view in views]
        cache = DynamicCache(config=self._watcher.base.config.get_text_config())
        place, before = 0, None
        while not all(row.done for row in rows) and not stop():
            began = time.monotonic()
            for row in rows:
                row.came = began if row.came is None else row.came
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

    def _next_stop(self, rows: Sequence[Row], place: int) -> int:
        """The next position at which something has to be known: any, while a row says something of its own."""
        active = [row for row in rows if not row.done]
        if any(row.speaking is not None for row in active):
            return place
        stops = [stop for row in active for stop in row.decides if stop >= place]
        ends = [len(row.view.user) - 1 for row in active]
        return max(place, min(stops) if stops else max(ends))

    def _step(self, rows: Sequence[Row], start: int, end: int, cache: Any) -> torch.Tensor:
        """Hidden states of positions `start` to `end`, both included."""
        device = self._watcher.marks.weight.device
        quiet = self._watcher.ids.quiet
        user = [
            [quiet if row.done else _at(row.view.user, place, quiet) for place in range(start, end + 1)] for row in rows
        ]
        agent = [[self._agent(row, place) for place in range(start, end + 1)] for row in rows]
        for row, said in zip(rows, agent, strict=True):
            row.fed += said
        positions = torch.stack([_positions(row.view, start, end) for row in rows], dim=1)
        return self._watcher.states(
            torch.tensor(agent, device=device),
            torch.tensor(user, device=device),
            positions.to(device),
            shown(self._watcher, rows, user),
            cache,
        )

    def _agent(self, row: Row, place: int) -> int:
        if row.next_token is not None:
            token, row.next_token = row.next_token, None
            return token
        return row.script.get(place, self._watcher.ids.quiet)

    def _decide(self, rows: Sequence[Row], place: int, states: torch.Tensor, before: torch.Tensor | None) -> None:
        """What each row does after position `place`. `before` are the states of the position before."""
        watcher = self._watcher
        logits = watcher.logits(states)
        size = logits.shape[-1] - len(watcher.ids.marks)
        tokens = watcher.token_of(logits.argmax(-1), size).tolist()
        finite = torch.isfinite(logits).all(-1).tolist()
        scores: list[float | None] = [None] * len(rows)
        if watcher.head is not None and before is not None:
            scores = torch.sigmoid(watcher.head(before).float()).tolist()
        moment = Moment(place, time.monotonic())
        for row, token, score, sound in zip(rows, tokens, scores, finite, strict=True):
            if row.done:
                continue
            if sound:
                self._speaking.decide(row, token, score, moment)
            else:
                row.broken = row.done = True


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
