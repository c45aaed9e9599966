"""The worker's last word: result or failure digest, in the message that the kubelet hands to the operator."""

from __future__ import annotations

import logging
import os
import traceback
from collections import deque
from pathlib import Path

from pydantic import ValidationError

from fabula_api.outside import plain, without_secrets
from fabula_api.status import FailureDigest
from fabula_api.worker import TERMINATION_LOG_VARIABLE, WorkerResult
from fabula_workloads.runtime.failures import CRASH, WorkerError

TAIL_LINES = 20
_LINE_CHARACTERS = 300
_MESSAGE_CHARACTERS = 1500
_log = logging.getLogger(__name__)


class LogTail(logging.Handler):
    """Keeps the last lines of the log in memory, for the failure digest."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines()[-TAIL_LINES:]:
            self._lines.append(_safe(line))

    def lines(self) -> list[str]:
        """The last lines, oldest first."""
        return list(self._lines)


def exit_code_of(error: BaseException) -> int:
    """Exit code for an exception that ended the stage; anything unforeseen is a crash (1)."""
    return int(error.exit_code) if isinstance(error, WorkerError) else CRASH


def digest_of_failure(error: BaseException, stage: str | None, shard: int | None, tail: list[str]) -> FailureDigest:
    """What a person needs first about a failure."""
    if isinstance(error, WorkerError):
        reason, message, exception = error.reason, error.message, error.exception
        rank, lines = error.rank, tail if error.log_tail is None else error.log_tail
    else:
        reason = "OutOfMemory" if isinstance(error, MemoryError) else "Crashed"
        message, exception, rank, lines = describe(error), type(error).__name__, None, tail
    return FailureDigest(
        reason=reason,
        message=_safe(message, _MESSAGE_CHARACTERS),
        stage=stage,
        shard=shard,
        rank=rank,
        exit_code=exit_code_of(error),
        exception=exception,
        log_tail=[_safe(line) for line in lines[-TAIL_LINES:]],
    )


def _safe(text: str, limit: int = _LINE_CHARACTERS) -> str:
    """What a status and a terminal may show; shortened last, so that no half of a secret is left."""
    return without_secrets(plain(text))[:limit]


def describe(error: BaseException) -> str:
    """Class, message and place of an exception; of a validation error the fields, never the values they were given."""
    if isinstance(error, ValidationError):
        text = "; ".join(validation_lines(error))
    else:
        text = without_secrets(str(error))
    frames = traceback.extract_tb(error.__traceback__)
    place = f" (at {Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}: {text[:_LINE_CHARACTERS]}{place}" if text else f"{type(error).__name__}{place}"


def validation_lines(error: ValidationError, prefix: str = "") -> list[str]:
    """One line for each error, `field.path: what is wrong`, without the input's value."""
    return [
        f"{prefix}{'.'.join(str(part) for part in item['loc']) or '(document)'}: "
        f"{item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def write_termination_message(result: WorkerResult) -> None:
    """Leave the result where the kubelet looks. Raises ValueError when it does not fit into 4 KiB."""
    path = Path(os.environ.get(TERMINATION_LOG_VARIABLE, "/dev/termination-log"))
    data = result.encode()
    try:
        path.write_bytes(data)
    except OSError as error:
        # Outside a pod nobody reads the message; within one the operator falls back on the exit code.
        _log.info("no termination message was left: %s", error.strerror)
