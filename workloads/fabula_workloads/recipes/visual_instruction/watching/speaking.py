"""When a row speaks, goes on, ends and is broken off. Pure: scores and tokens come in, the row changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fabula_api.recipes.visual_instruction.watch import Threshold
from fabula_workloads.recipes.visual_instruction.watcher.stream import Segment
from fabula_workloads.recipes.visual_instruction.watcher.tokens import MarkIds
from fabula_workloads.recipes.visual_instruction.watching.row import Row, Spoken


@dataclass(frozen=True, slots=True)
class Moment:
    """A position that was passed, and when, on a clock of seconds."""

    place: int
    now: float


@dataclass(frozen=True, slots=True)
class Speaking:
    """The rules, for all rows of a session."""

    ids: MarkIds
    threshold: Threshold
    replies: int
    told: Callable[[Spoken], None]

    def decide(self, row: Row, token: int, score: float | None, moment: Moment) -> None:
        """What the row does after a position: `token` is what the model would say next, `score` what its head says."""
        segment = row.decides.get(moment.place)
        if row.speaking is not None:
            self._speak_on(row, row.speaking, token, moment)
        elif segment is not None and segment.kind == "text" and token != self.ids.quiet:
            self._begin(row, segment, None, self.ids.answer, moment)
        if segment is not None and segment.kind == "picture" and score is not None:
            self._look(row, segment, score, moment)
        if segment is not None:
            row.came = None
        if row.speaking is None and (moment.place >= len(row.view.user) - 1 or len(row.said) >= self.replies):
            row.done = True

    def _speak_on(self, row: Row, speaking: Spoken, token: int, moment: Moment) -> None:
        if not speaking.tokens:
            speaking.first_token_seconds = moment.now - row.decided_at
        if token == self.ids.end:
            speaking.ended, row.speaking = True, None
            row.next_token = token
            self.told(speaking)
        elif len(speaking.tokens) >= row.view.most_tokens:
            row.speaking = None
            self.told(speaking)
        else:
            speaking.tokens.append(token)
            row.next_token = token

    def _look(self, row: Row, segment: Segment, score: float, moment: Moment) -> None:
        """Decide at a frame. A reply of one's own, or one that is given, is interrupted by what is new."""
        row.recent.append(score)
        figure = sum(row.recent) / (len(row.recent) if self.threshold.over == "mean" else 1)
        if figure <= self.threshold.above:
            row.armed = True
        elif row.armed and len(row.said) < self.replies:
            if row.speaking is not None:
                row.speaking.interrupted = True
                self.told(row.speaking)
            self._begin(row, segment, figure, self.ids.remark, moment)

    def _begin(self, row: Row, segment: Segment, score: float | None, mark: int, moment: Moment) -> None:
        row.speaking = Spoken(segment.at, score, decision_seconds=moment.now - (row.came or moment.now))
        row.said.append(row.speaking)
        row.next_token, row.decided_at = mark, moment.now
        row.script, row.armed = {}, score is None
        row.recent.clear()
