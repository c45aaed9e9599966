"""Captions as words, as the published metrics count them: Penn Treebank tokens in lower case, without punctuation."""

from __future__ import annotations

import re

from fabula_workloads.recipes.audio_description.scoring.ptb_rules import ABBREVIATION, CLASSES

LEFT_OUT = frozenset({
    "", "'", "''", "`", "``", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";",
})  # fmt: skip
"""What the published metrics take for punctuation. Brackets are in it in upper case alone, and tokens come in lower
case, so they stay: a defect that every published figure has."""
_KNOWN_AT_MOST = 200_000
_PLAIN = re.compile(
    r"[\"(]?(?P<word>[A-Za-z]{2,})(?:['’-][A-Za-z]{1,})*(?P<stop>[.]{0,3})[,;:!?]{0,2}[\")]?|[A-Za-z](?:'[A-Za-z]+[.]?)?,?"
)
"""What stands between two spaces and is read alike whatever is around it; but for the stop of an abbreviation. One
letter alone is so without a stop."""
_known: dict[str, tuple[str, ...]] = {"": ()}


def tokens(text: str) -> list[str]:
    """The words of a caption. A line feed in it counts as a space; an empty caption has none."""
    line = text.replace("\n", " ")
    words: list[str] = []
    for piece in line.split(" "):
        known = _known.get(piece)
        if known is None:
            return _tokens(line)
        words += known
    return words


def _tokens(line: str) -> list[str]:
    """The same of a line with something in it that is new, or that is not read alike everywhere."""
    tokens: list[str] = []
    at, end = 0, len(line)
    while at < end:
        if line[at] == " ":
            at += 1
            continue
        stop = line.find(" ", at)
        piece = line[at:] if stop < 0 else line[at:stop]
        known = _known.get(piece)
        if known is None and _alike_everywhere(piece):
            known = _learned(piece)
        elif known is None and piece.isascii() and piece.isdigit() and not line[at + len(piece) + 1 :][:1].isdigit():
            known = (piece,)  # no part of a fraction or of a telephone's number
        elif known is None and piece == "." and stop < 0:
            known = ()  # no part of an ellipsis
        if known is not None:
            tokens.extend(known)
            at += len(piece) + 1
            continue
        # A token may reach over spaces: what comes next begins behind it.
        at = _read(line, at, end if stop < 0 else stop, tokens)
    return tokens


def _alike_everywhere(piece: str) -> bool:
    match = _PLAIN.fullmatch(piece)
    return match is not None and not (match["stop"] and ABBREVIATION.fullmatch(match["word"]))


def _learned(piece: str) -> tuple[str, ...]:
    words: list[str] = []
    _read(piece, 0, len(piece), words)
    if len(_known) < _KNOWN_AT_MOST:
        _known[piece] = tuple(words)
    return tuple(words)


def _read(line: str, at: int, stop: int, tokens: list[str]) -> int:
    """Read tokens from `at` until one ends at `stop` or behind it; the place where it ends."""
    behind = f"{line}\n\n"  # the end of a line is looked at like white space
    while at < stop:
        reach, best, token = at, None, ""
        for token_class in CLASSES:
            match = token_class.pattern.match(behind, at)
            if match is not None and match.end() > reach:
                reach, best, token = match.end(), token_class, match[1]
        if best is None:
            at += 1  # white space, or a character that no token has
            continue
        token = token[: len(token) - best.kept]
        if (written := best.written(token).lower()) not in LEFT_OUT:
            tokens.append(written)
        at += len(token)
    return at
