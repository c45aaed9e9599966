"""What a person says to a model that stays loaded: pictures, wishes, and a few words that begin with a slash."""

from __future__ import annotations

import glob
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from fabula_cli.exits import CommandFailed, Exit

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
HELP = """\
pictures or a folder   tell of these
any other words        a wish: tell of the same pictures, with these words behind the prompt
/again                 tell it otherwise: the next seed
/prompt WORDS          words in the place of the recipe's prompt; without words, the recipe's again
/quit                  end"""
"""What a line may be."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is told of."""

    files: tuple[Path, ...]
    sample: str | None = None
    """Id of the evaluation's sample, where it is one's."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Where the conversation stands."""

    question: Question | None = None
    prompt: str | None = None
    wish: str | None = None
    seed: int = 0


def question(named: Sequence[Path], sample: str | None = None) -> Question:
    """The files, all of which are there. A folder stands for the pictures in it, and alone its name for the sample.

    Raises CommandFailed for what is not there.
    """
    files: list[Path] = []
    for path in named:
        place = path.expanduser()
        if place.is_dir():
            inner = sorted(file for file in place.iterdir() if file.suffix.lower() in _PICTURES)
            if not inner:
                raise CommandFailed(Exit.ABSENT, f"{path} has no pictures ({' '.join(sorted(_PICTURES))})")
            files += inner
        elif place.is_file():
            files.append(place)
        else:
            raise CommandFailed(Exit.ABSENT, f"there is no picture {path}")
    alone = len(named) == 1 and named[0].expanduser().is_dir()
    return Question(tuple(files), sample or (named[0].expanduser().resolve().name if alone else None))


def listen(talk: Talk, complain: Callable[[str], None]) -> Iterator[Talk]:
    """What is to be told next, line by line from stdin, until it ends or somebody has enough."""
    for line in _lines():
        words = line.strip()
        if words in ("/quit", "/exit"):
            return
        try:
            next_talk = heard(talk, words)
        except CommandFailed as error:
            complain(str(error))
            continue
        if next_talk is None:
            if words:
                complain(f"{words.split()[0]} is none of these")
                sys.stderr.write(f"{HELP}\n")
            continue
        talk = next_talk
        if talk.question is None:
            complain("name pictures first")
            continue
        yield talk


def heard(talk: Talk, line: str) -> Talk | None:
    """The talk after a line; None for one that asks for nothing. Raises CommandFailed for pictures that are not there,
    so that a misspelt name is no wish."""
    command, _, rest = line.partition(" ")
    if command == "/again":
        return replace(talk, seed=talk.seed + 1)
    if command == "/prompt":
        return replace(talk, prompt=rest.strip() or None, wish=None)
    if line and (paths := _paths(line)) is not None:
        return replace(talk, question=question(paths), wish=None)
    return None if not line or line.startswith("/") else replace(talk, wish=line)


def _paths(line: str) -> list[Path] | None:
    """The files that a line names; None where it names none."""
    try:
        words = shlex.split(line)
    except ValueError:  # an apostrophe
        return None
    paths: list[Path] = []
    for word in words:
        whole = str(Path(word).expanduser())
        paths += [Path(match) for match in sorted(glob.glob(whole))] or [Path(whole)]
    there = [path.exists() for path in paths]
    alike = [path.suffix.lower() in _PICTURES for path in paths]
    return paths if all(there) or any(alike) else None


def _lines() -> Iterator[str]:
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    with suppress(ImportError):
        import readline  # noqa: F401 - lines can be edited, and called up again
    sys.stderr.write(f"{HELP}\n")
    while True:
        try:
            yield input("> ")
        except EOFError:
            return
