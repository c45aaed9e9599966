"""Failures a worker can name: a reason for programs, a sentence for people, an exit code that decides retries.

Anything that is not a `WorkerError` is a crash: exit code 1, counted against the run's retries.
"""

from __future__ import annotations

import errno
from typing import ClassVar

from fabula_api.worker import ExitCode

CRASH = 1
"""Exit code of a failure nobody foresaw."""

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_PERMISSION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})


class WorkerError(Exception):
    """A failure with a name. `message` says what is wrong, where, and what to do; it holds no secret and no transcript.

    `rank`, `exception` and `log_tail` are for stages that watch other processes: the first failing rank, the class of
    its exception and the last lines of its log.
    """

    exit_code: ClassVar[int] = CRASH
    default_reason: ClassVar[str] = "Crashed"

    def __init__(
        self,
        message: str,
        reason: str | None = None,
        *,
        rank: int | None = None,
        exception: str | None = None,
        log_tail: list[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.rank = rank
        self.exception = exception
        self.log_tail = log_tail


class Crashed(WorkerError):
    """A process of the stage died without saying why in our terms: retried within the run's budget."""


class ConfigInvalid(WorkerError):
    """The configuration cannot work, whatever the input. Never retried."""

    exit_code: ClassVar[int] = ExitCode.CONFIG
    default_reason: ClassVar[str] = "ConfigInvalid"


class InputInvalid(WorkerError):
    """An input is missing, unreadable or not what it claims to be. Never retried."""

    exit_code: ClassVar[int] = ExitCode.INPUT
    default_reason: ClassVar[str] = "InputInvalid"


class NotFound(InputInvalid):
    """Nothing is stored under a URI."""

    def __init__(self, uri: str, detail: str = "") -> None:
        super().__init__(f"{uri} does not exist" + (f": {detail}" if detail else ""))
        self.uri = uri


class CredentialsRefused(WorkerError):
    """Credentials are missing or refused, or they lack a permission. Never retried."""

    exit_code: ClassVar[int] = ExitCode.CREDENTIALS
    default_reason: ClassVar[str] = "CredentialsRefused"


class TryAgain(WorkerError):
    """It may work later: the store or provider did not answer, there is no space, or the pod was told to stop."""

    exit_code: ClassVar[int] = ExitCode.RETRY
    default_reason: ClassVar[str] = "TryAgain"


class Overtaken(TryAgain):
    """Another worker committed a different artifact here first. The next start finds and takes that one."""

    default_reason: ClassVar[str] = "Overtaken"


def from_os_error(error: OSError, uri: str) -> WorkerError:
    """The named failure behind an operating system error on `uri`."""
    what = error.strerror or type(error).__name__
    if error.errno in _NOT_THERE:
        return NotFound(uri)
    if error.errno in _NO_SPACE:
        return TryAgain(f"{uri} cannot be written: {what}. Free space on the volume or raise its quota.", "NoSpace")
    if error.errno in _NO_PERMISSION:
        return CredentialsRefused(
            f"{uri} cannot be used: {what}. Give the worker's user access to the folder.", "NoPermission"
        )
    if error.errno in (errno.EISDIR, errno.ENAMETOOLONG):
        return InputInvalid(f"{uri} cannot be used as a file: {what}")
    return TryAgain(f"{uri} cannot be reached: {what}", "StoreUnavailable")
