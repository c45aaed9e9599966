"""A sample as two streams of equal length: what is seen, heard and asked, and what is said. Pure; no torch.

Each block of the user's stream (a picture, a second of sound, a text) ends with the segment mark. A reply begins at the
position behind the mark of the block that brings it, and the user's stream goes on beneath it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn
from fabula_workloads.recipes.visual_instruction.watcher.tokens import MarkIds

PICTURE, SOUND = -1, -2
"""Places in the user's stream that vectors fill."""
IGNORED = -100
_SOUND_STEP = 0.1
BlockKind = Literal["system", "picture", "sound", "text", "wait"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn of the user."""

    at: float
    ids: Sequence[int]
    wait: int = 0
    """Positions until the next thing is said, where no time passes between them: the answer comes first."""


@dataclass(frozen=True, slots=True)
class Block:
    """What is added to the user's stream at a moment."""

    kind: BlockKind
    at: float
    ids: tuple[int, ...]
    """Token ids, or as many PICTURE or SOUND."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The end of a block."""

    kind: BlockKind
    at: float
    place: int
    """Position of its mark; the block's last token is the one before."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A turn of the model as tokens."""

    turn: Turn
    ids: tuple[int, ...]
    """With its mark at the start and the end token."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A frame at which the head learns: whether it is time to speak."""

    place: int
    at: float
    wanted: bool


@dataclass(slots=True)
class Streams:
    """Both streams, and what is learned where."""

    user: list[int]
    agent: list[int]
    targets: list[int]
    """Token that the agent says next, at each position; IGNORED where nothing is learned."""
    segments: list[Segment]
    decisions: list[Decision] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.user)


def blocks_of(
    system: Sequence[int],
    frames: Sequence[float],
    picture_tokens: int,
    texts: Sequence[Asked],
    sounds: Sequence[float] = (),
    sound_tokens: int = 0,
    quiet: int = 0,
) -> list[Block]:
    """The user's blocks in the order of time, the system's words first. Of one moment: picture, sound, text."""
    blocks = [Block("picture", at, (PICTURE,) * picture_tokens) for at in frames]
    # As published, the seconds of a gap follow its picture one after another, a tenth apart.
    blocks += [Block("sound", at + _SOUND_STEP, (SOUND,) * sound_tokens) for at in sounds]
    for text in texts:
        blocks.append(Block("text", text.at, tuple(text.ids)))
        if text.wait:
            blocks.append(Block("wait", text.at, (quiet,) * text.wait))
    order = {"picture": 0, "sound": 1, "text": 2, "wait": 2}
    blocks.sort(key=lambda block: (block.at, order[block.kind]))
    return [Block("system", blocks[0].at if blocks else 0.0, tuple(system)), *blocks]


def laid_out(blocks: Sequence[Block], marks: MarkIds) -> tuple[list[int], list[Segment]]:
    """The user's stream and where its blocks end."""
    user: list[int] = []
    segments = []
    for block in blocks:
        user += block.ids
        if block.kind == "wait":
            continue
        segments.append(Segment(block.kind, block.at, len(user)))
        user.append(marks.segment)
    return user, segments


def begins_at(turn: Turn, turns: Sequence[Turn], segments: Sequence[Segment]) -> Segment | None:
    """The segment behind which a turn of the model is said; None where nothing comes before it that could bring it.

    An answer follows the last text by then; what is said unasked follows the last picture, of those after the question
    before it.
    """
    if not turn.unasked:
        asked = [segment for segment in segments if segment.kind == "text" and segment.at <= turn.at]
        place = next(number for number, other in enumerate(turns) if other is turn)
        before = sum(other.speaker == "user" and other.at <= turn.at for other in turns[:place])
        if asked:
            return asked[before - 1] if before else asked[-1]
    since = max((other.at for other in turns if other.speaker == "user" and other.at <= turn.at), default=float("-inf"))
    seen = [segment for segment in segments if segment.kind == "picture"]
    fit = [picture for picture in seen if since < picture.at <= turn.at]
    fit = fit or [picture for picture in seen if picture.at > since][:1]
    return fit[-1] if fit else (segments[-1] if segments else None)


def two_streams(
    blocks: Sequence[Block], replies: Sequence[Reply], turns: Sequence[Turn], marks: MarkIds, *, learn_when: bool
) -> Streams:
    """Both streams of a sample to learn from. A reply that is still being said when the next begins is cut there."""
    user, segments = laid_out(blocks, marks)
    placed: list[tuple[int, Reply]] = []
    for reply in replies:
        segment = begins_at(reply.turn, turns, segments)
        if segment is not None:
            placed.append((segment.place + 1, reply))
    placed.sort(key=lambda pair: pair[0])
    end = max([len(user), *(start + len(reply.ids) for start, reply in placed)])
    user += [marks.quiet] * (end - len(user))
    agent, targets = [marks.quiet] * end, [IGNORED] * end
    answered = {start - 1 for start, _ in placed}
    for number, (start, reply) in enumerate(placed):
        stop = placed[number + 1][0] if number + 1 < len(placed) else end
        for place, token in enumerate(reply.ids, start):
            if place >= stop:
                break
            agent[place] = token
            # The last position of all has no next one: a target stands where the token is foretold.
            targets[place - 1] = token
    for segment in segments:
        if segment.kind == "text" and segment.place not in answered and targets[segment.place] == IGNORED:
            targets[segment.place] = marks.quiet  # what is asked now, and answered by what is seen later
    streams = Streams(user, agent, targets, segments)
    if learn_when:
        streams.decisions = _decisions(segments, turns)
    return streams


def _decisions(segments: Sequence[Segment], turns: Sequence[Turn]) -> list[Decision]:
    """Every frame: whether it lies in the second half of the span of what is said unasked, after what was asked."""
    seen = [picture for picture in segments if picture.kind == "picture"]
    due: set[int] = set()
    for turn in turns:
        if not turn.unasked or turn.start is None or turn.end is None:
            continue
        asked = max(
            (other.at for other in turns if other.speaker == "user" and other.at <= turn.at), default=float("-inf")
        )
        middle = (turn.start + turn.end) / 2
        fit = [picture for picture in seen if middle <= picture.at <= turn.end and picture.at > asked]
        # A span between two frames would teach silence; the frame after it is the first that can show it.
        fit = fit or [picture for picture in seen if picture.at > turn.end and picture.at > asked][:1]
        due |= {picture.place for picture in fit}
    return [Decision(picture.place - 1, picture.at, picture.place in due) for picture in seen]
