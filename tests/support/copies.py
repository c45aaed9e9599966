"""Programs of the product as copies of a process that has them loaded, so that a start costs a test next to nothing.

A copy has its own folder, streams and environment, and is killed, waited for and told of as a process of `subprocess`.
When its test process ends, so does it. Where no servers are shared (`share`), programs are started as they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Protocol

from tests.support.patience import SECONDS
from tests.support.shared_libraries import PLATFORM, STAGES, TRAINING, Servers

SCRIPT = "tests.support.script"
"""The program that runs the Python it is given, as `python -c` does."""
_SERVES = {
    "fabula_workloads.cli": STAGES,
    SCRIPT: STAGES,
    "tests.support.accumulated_gradients": TRAINING,
    "tests.support.foreign_trainer": TRAINING,
    "tests.support.gathered_weights": TRAINING,
}
"""What has loaded what they need; `PLATFORM` for all others."""
_MAIN = {
    "fabula_operator": "fabula_operator.main",
    "fabula_local.apiserver": "fabula_local.apiserver.__main__",
    "fabula_workloads.cli": "fabula_workloads.command",
}
"""Where the `main` is of what is run by another name."""
_READ_AT_IMPORT = ("HF_", "TRANSFORMERS_")
"""Variables that a copy would not see."""
_shared: list[Servers] = []


class Process(Protocol):
    """What is had of a started program, in either way."""

    pid: int
    returncode: int | None
    stdin: IO[str] | None
    stdout: IO[str] | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def communicate(self, *, timeout: float | None = None) -> tuple[str, str | None]: ...
    def send_signal(self, sig: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Copy:
    """A process that was forked off a server, which tells how it ended."""

    def __init__(
        self, server: str, module: str, arguments: Sequence[str], environment: Mapping[str, str],
        streams: Sequence[int], stdin: IO[str] | None, stdout: IO[str] | None,
    ) -> None:  # fmt: skip
        from fabula_workloads.training.preloaded import client

        self.args, self.returncode = [module, *arguments], None
        self.stdin, self.stdout = stdin, stdout
        wanted = {"name": module.partition(".")[0], "module": module, "arguments": list(arguments)}
        wanted |= {"folder": os.getcwd(), "environment": dict(environment)}
        request = json.dumps(wanted).encode()
        self._connection = client.connect(server)
        socket.send_fds(self._connection, [client.LENGTH.pack(len(request))], list(streams))
        self._connection.sendall(request)
        self.pid = self._told(None)

    args: list[str]
    returncode: int | None

    def _told(self, timeout: float | None) -> int:
        from fabula_workloads.training.preloaded import client

        self._connection.settimeout(timeout)
        answer = self._connection.recv(client.NUMBER.size, socket.MSG_WAITALL)
        if len(answer) < client.NUMBER.size:
            raise ConnectionError(f"the process that {self.args[0]} is a copy of has ended")
        return int(client.NUMBER.unpack(answer)[0])

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or minus the signal that ended it; `subprocess.TimeoutExpired` where it does not end."""
        if self.returncode is None:
            try:
                status = self._told(timeout)
            except TimeoutError as error:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from error
            self.returncode = os.waitstatus_to_exitcode(status)
            self._connection.close()
        return self.returncode

    def poll(self) -> int | None:
        """As `wait`; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired, BlockingIOError):
            return self.wait(0)
        return None

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str | None]:
        """All that it still says, and nothing: it has one stream for both. Then it has ended."""
        if self.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()
        said = ""
        if self.stdout is not None and not self.stdout.closed:
            said = self.stdout.read()
            self.stdout.close()
        self.wait(timeout)
        return said, None

    def send_signal(self, sig: int, /) -> None:
        """Nothing happens where it has ended."""
        if self.poll() is None:
            # It may end meanwhile: it is its server's child, and gone as soon as that has taken note.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


@contextlib.contextmanager
def share(servers: Servers) -> Iterator[None]:
    """From here on `start` makes copies of what these have loaded."""
    _shared.append(servers)
    try:
        yield
    finally:
        _shared.remove(servers)


def start(
    program: str, *arguments: str, environment: Mapping[str, str] | None = None, log: IO[bytes] | None = None,
    errors: IO[str] | None = None, anew: bool = False,
) -> Process:  # fmt: skip
    """Start a program, as `python -m` would. What it says goes to `log`; without one it can be read and answered, and
    of its two streams `errors` takes the second. `anew`: as a process that loads all by itself.
    """
    environment = os.environ if environment is None else environment
    kind = _SERVES.get(program, PLATFORM)
    changed = kind != PLATFORM and any(name.startswith(_READ_AT_IMPORT) for name in environment)
    if anew or changed or not _shared:
        return subprocess.Popen(
            [sys.executable, *(["-c"] if program == SCRIPT else ["-m", program]), *arguments], env=environment,
            stdin=subprocess.DEVNULL if log else subprocess.PIPE, stdout=log or subprocess.PIPE,
            stderr=errors or subprocess.STDOUT, text=True, bufsize=1,
        )  # fmt: skip
    server = str(_shared[-1].need(kind) / kind)
    with contextlib.ExitStack() as ours:
        stdin: IO[str] | None = None
        stdout: IO[str] | None = None
        if log is None:
            asked, ask = os.pipe()
            heard, hear = os.pipe()
            ours.callback(os.close, asked)
            ours.callback(os.close, hear)
            # Whoever reads and writes them closes them.
            stdin = open(ask, "w", buffering=1)  # noqa: SIM115
            stdout = open(heard, errors="replace")  # noqa: SIM115
            streams = [asked, hear, errors.fileno() if errors else hear]
        else:
            nothing = os.open(os.devnull, os.O_RDONLY)
            ours.callback(os.close, nothing)
            streams = [nothing, log.fileno(), log.fileno()]
        return Copy(server, _MAIN.get(program, program), arguments, environment, streams, stdin, stdout)


def run(
    program: str, *arguments: str, environment: Mapping[str, str] | None = None, anew: bool = False
) -> subprocess.CompletedProcess[str]:
    """Start a program and wait for its end; what it said on either stream."""
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = start(program, *arguments, environment=environment, errors=errors, anew=anew)
        said, _ = process.communicate(timeout=SECONDS)
        errors.seek(0)
        return subprocess.CompletedProcess([program, *arguments], process.wait(), said, errors.read())
