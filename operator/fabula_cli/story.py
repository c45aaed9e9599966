"""One story on its way from a model to a terminal: its text to stdout, all else to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from fabula_api.outside import plain_lines
from fabula_cli.display import shown
from fabula_cli.exits import CommandFailed, Exit
from fabula_cli.listening import Talk

if TYPE_CHECKING:
    from fabula_workloads.telling.teller import Teller

aside = Console(stderr=True, soft_wrap=True, highlight=False)
"""Where everything goes that is no story."""


def tell_once(teller: Teller, talk: Talk) -> bool:
    """Tell once; whether something was told."""
    from fabula_workloads.inference.request import Failure

    asked = talk.question
    assert asked is not None
    said = _Said()
    began = time.monotonic()
    story = teller.tell(
        asked.files, said.say, seed=talk.seed, prompt=talk.prompt, wish=talk.wish,
        **({"sample": asked.sample} if asked.sample else {}),
    )  # fmt: skip
    said.end()
    if isinstance(story, Failure):
        complain(f"no story: {story.reason}")
        return False
    answer = story.answer
    seconds = time.monotonic() - began
    aside.print(shown(f"{answer.tokens} tokens in {seconds:.1f} s, seed {talk.seed}", "dim"))
    if answer.finish == "length":
        aside.print(shown("note: cut off at --max-new-tokens", "yellow"))
    if not story.readable:
        aside.print(shown("note: it has not the form that the recipe asks for; an evaluation calls it unparseable"))
    return True


def guarded(teller: Teller, talk: Talk) -> bool:
    """Tell once, where what goes wrong is told and the talk goes on; a key press ends the story alone."""
    try:
        with failures():
            return tell_once(teller, talk)
    except CommandFailed as error:
        complain(str(error))
    except KeyboardInterrupt:
        typer.echo()
    return False


def complain(line: str) -> None:
    """Say what is wrong."""
    aside.print(shown(f"fabula: {line}", "red"))


class _Said:
    """The story as it comes, without what would command a terminal, and without blank space around it."""

    def __init__(self) -> None:
        self._kept = ""
        self._begun = False

    def say(self, piece: str) -> None:
        """Print all but the white space at its ends, which waits for what follows."""
        text = self._kept + plain_lines(piece)
        text = text if self._begun else text.lstrip()
        told_now = text.rstrip()
        self._kept = text[len(told_now) :]
        if told_now:
            self._begun = True
            sys.stdout.write(told_now)
            sys.stdout.flush()

    def end(self) -> None:
        """End the last line."""
        if self._begun:
            sys.stdout.write("\n")
            sys.stdout.flush()


@contextmanager
def failures() -> Iterator[None]:
    """What the worker's code raises, as a sentence and an exit code."""
    try:
        from fabula_workloads.runtime.failures import NotFound, WorkerError
    except ModuleNotFoundError as error:
        raise _lacking(error) from error
    from fabula_workloads.recipe_parts.telling import UnfitFile

    try:
        yield
    except ModuleNotFoundError as error:
        raise _lacking(error) from error
    except NotFound as error:
        raise CommandFailed(Exit.ABSENT, str(error)) from error
    except (WorkerError, UnfitFile) as error:
        raise CommandFailed(Exit.BAD, str(error)) from error


def _lacking(error: ModuleNotFoundError) -> CommandFailed:
    return CommandFailed(Exit.BAD, f"this needs {error.name or error}: pip install '.[worker,train]' in the checkout")
