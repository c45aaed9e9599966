"""Exit codes of the commands, and how an error becomes one: a script reads the code, a person the sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer
from rich.console import Console

from fabula_cli.display import shown


class Exit(IntEnum):
    """What a command's exit means; `docs/command.md` lists them from here."""

    OK = 0
    """Done, and all is well."""
    BAD = 1
    """What was asked about is not well: a run failed or stands still, a file is not valid, a check needs something."""
    USAGE = 2
    """The command line cannot be understood."""
    ABSENT = 3
    """There is no such run, log, report or file."""
    CLUSTER = 4
    """The cluster did not answer, or refused the request."""
    STORE = 5
    """The artifact store cannot be read from here."""
    UNFINISHED = 6
    """A run is still at work, or waits."""
    INTERRUPTED = 130
    """Ended from the keyboard."""


class CommandFailed(Exception):
    """A command cannot go on; the message says what is wrong, where, and what to do."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def told() -> Iterator[None]:
    """Turn what can go wrong outside into a sentence on stderr and an exit code."""
    try:
        yield
    except CommandFailed as error:
        raise _ended(error.code, str(error)) from None
    except Exception as error:
        if (end := _of_a_cluster(error)) is None:
            raise
        raise _ended(*end) from None
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def _of_a_cluster(error: Exception) -> tuple[Exit, str] | None:
    """Code and words of what can go wrong with a cluster; its client is loaded only where there is an error."""
    from fabula_kube.connection import NoAnswer
    from fabula_kube.credentials import NoCredentials
    from fabula_kube.errors import ApiError

    match error:
        case ApiError():
            code = Exit.ABSENT if error.not_found else Exit.CLUSTER
            return code, f"the API server says: {error.message or error}"
        case NoAnswer():
            words = f"the cluster does not answer ({error}); is it up, and KUBECONFIG the right one?"
            return Exit.CLUSTER, words
        case NoCredentials():
            words = f"no cluster to talk to: {error}. Set KUBECONFIG or give --kubeconfig; `fabula up` starts one here"
            return Exit.CLUSTER, words
        case _:
            return None


def _ended(code: Exit, message: str) -> typer.Exit:
    Console(stderr=True, soft_wrap=True).print(shown(f"fabula: {message}", "red"), highlight=False)
    return typer.Exit(code)
