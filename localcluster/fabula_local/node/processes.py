"""Processes of containers: start them under a shim, find them again, end them all.

Every process of a container carries a variable that names it, and passes it on to its children. So none is lost, even
if it leaves its session or outlives its parent. Linux only: it reads /proc and uses pidfds.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SHIM = "".join(
    line for line in Path(__file__).with_name("shim.sh").read_text().splitlines(keepends=True) if line[0] != "#"
)
"""Given to the shell as text: it reads a script file bit by bit, so a new version would confuse a running one."""
MARKER = "FABULA_CONTAINER"
"""Variable with `uid/container/attempt`, in the environment of every process of a container."""
PORTABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Shim:
    """A running shim; also its process group and session."""

    pid: int
    start_ticks: int
    """Start time of the process since boot; tells it from a later one with the same pid."""

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return _start_ticks(self.pid) == self.start_ticks


def start(argv: Sequence[str], env: Mapping[str, str], *, stem: Path, log: Path, cwd: Path, marker: str) -> Shim:
    """Start a command under a shim, in a session of its own; OSError if that fails.

    `stem` is where the shim leaves its records: STEM.run at the start, STEM.exit at the end.
    """
    # A POSIX shell drops variables whose names it could not have set; env(1) hands those over.
    odd = [f"{name}={value}" for name, value in env.items() if not PORTABLE_NAME.fullmatch(name)]
    plain = {name: value for name, value in env.items() if PORTABLE_NAME.fullmatch(name)}
    command = ["/usr/bin/env", *odd, *argv] if odd else list(argv)
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", SHIM, "fabula-shim", str(stem), *command],
            env={**plain, MARKER: marker},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _CHILDREN[process.pid] = process
    return Shim(process.pid, _start_ticks(process.pid) or 0)


_CHILDREN: dict[int, "subprocess.Popen[bytes]"] = {}
"""Shims started by this very process: it must collect them, or they stay as zombies."""


def find_shim(stem: Path) -> Shim | None:
    """The shim that wrote STEM.run, if it still runs on this boot."""
    try:
        lines = stem.with_suffix(".run").read_text().splitlines()
    except FileNotFoundError:
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if len(lines) < 2 or lines[1] != boot:
        return None
    shim = Shim(int(lines[0].split(" ", 1)[0]), _parse_ticks(lines[0]))
    return shim if shim.alive() else None


def _parse_ticks(stat: str) -> int:
    # The second field is the name in parentheses, which may hold anything; field 22 is the start time.
    return int(stat.rpartition(")")[2].split()[19])


def _start_ticks(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if stat.rpartition(")")[2].split()[0] in "ZX" else _parse_ticks(stat)


async def wait_gone(shim: Shim) -> None:
    """Return when the shim has ended."""
    try:
        descriptor = os.pidfd_open(shim.pid)
    except ProcessLookupError:
        collect(shim.pid)
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    try:
        if not shim.alive():
            return
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        collect(shim.pid)


def collect(pid: int) -> None:
    """Collect an ended child so that it does not stay as a zombie."""
    child = _CHILDREN.get(pid)
    if child is not None and child.poll() is not None:
        del _CHILDREN[pid]


def marked(prefix: str) -> list[int]:
    """Pids of all processes whose marker begins with `prefix` (a pod's uid, or all of uid/container/attempt)."""
    exact = f"{MARKER}={prefix}".encode()
    pids = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"/proc/{entry.name}/environ", "rb") as file:
                variables = file.read().split(b"\0")
        except OSError:
            continue
        if any(value == exact or value.startswith(exact + b"/") for value in variables):
            pids.append(int(entry.name))
    return pids


def terminate(shim: Shim) -> None:
    """Ask the container to end: SIGTERM to its process group."""
    with contextlib.suppress(ProcessLookupError):
        if shim.alive():
            os.killpg(shim.pid, signal.SIGTERM)


async def kill(prefix: str, *, spare: Sequence[int] = (), seconds: float = 5.0) -> bool:
    """SIGKILL every marked process but the spared, until none is left; False if some outlive `seconds`.

    Shims are spared so that they can record the end of the command they wait for.
    """
    deadline = time.monotonic() + seconds
    while True:
        victims = [pid for pid in marked(prefix) if pid not in spare]
        if not victims:
            return True
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            collect(pid)
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
