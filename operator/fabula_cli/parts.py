"""The processes of a laptop's cluster: how each is run and ended, and what a killed supervisor left of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fabula_cli.home import Home, wait_until

log = logging.getLogger("fabula.supervisor")
_KILL_SECONDS = 30.0


@dataclass
class Part:
    """One supervised process."""

    name: str
    command: list[str]
    log_file: Path
    stop_seconds: float
    before: Callable[[], bool] | None = None
    """What must hold before it is started."""
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    last_exit: int | None = None
    environment: dict[str, str] = field(default_factory=dict)

    async def start(self) -> asyncio.subprocess.Process:
        self.starts += 1
        with self.log_file.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={**os.environ, **self.environment},
            )
        log.info("%s started, pid %d", self.name, self.process.pid)
        return self.process

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after `stop_seconds`."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self.stop_seconds)
        except TimeoutError:
            log.warning("%s did not end in %.0f s; killing it", self.name, self.stop_seconds)
            process.kill()
            await process.wait()


def free_port(*taken: int) -> int:
    """A loopback port that is free now."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def listens(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def command_line(pid: int) -> bytes:
    """The command line of a living process; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def left_over(home: Home) -> dict[str, int]:
    """Parts that outlived a killed supervisor, in the order in which they are to end: name and pid."""
    try:
        parts = json.loads(home.state.read_text()).get("parts", {})
    except (FileNotFoundError, ValueError):
        return {}
    alive = {name: part["pid"] for name, part in parts.items() if part.get("pid")}
    return {name: pid for name, pid in reversed(alive.items()) if str(home.root).encode() in command_line(pid)}


def end_left_over(home: Home, number: signal.Signals) -> list[str]:
    """End what a killed supervisor left, each part before those it needs; returns their names.

    SIGTERM is an orderly end, pods included. SIGKILL leaves the pods running, for the next node to adopt.
    """
    ended = []
    for name, pid in left_over(home).items():
        log.warning("ending the %s of a former supervisor, pid %d", name, pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            if not wait_until(lambda pid=pid: not command_line(pid), _KILL_SECONDS):  # type: ignore[misc]
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda pid=pid: not command_line(pid), _KILL_SECONDS)  # type: ignore[misc]
        ended.append(name)
    return ended
