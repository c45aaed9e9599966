"""`fabula up` and `fabula down`: start and end the supervisor, and wait until that is true."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from fabula_cli.choice import Choice, last_choice
from fabula_cli.home import Home, NotRunning, wait_until
from fabula_cli.parts import end_left_over

_START_SECONDS = 120.0
_STOP_SECONDS = 45.0


class UpFailed(Exception):
    """The laptop cluster did not become ready; the message names the log to read."""


def operator_ready(home: Home) -> bool:
    """Whether CRDs are installed and the operator watches."""
    try:
        state = home.read_state()
    except NotRunning:
        return False
    if not state.get("ready"):
        return False
    port = state.get("ports", {}).get("metrics")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def start(
    home: Home,
    *,
    choice: Choice | None = None,
    gpus: int = 0,
    artifact_root: str | None = None,
    tell: Callable[[str], None] = print,
) -> None:
    """Start what is not running and wait until the operator watches. Raises UpFailed.

    Without a choice, the cluster is the one that this state folder ran last.
    """
    home.prepare()
    ours, last = not home.supervised(), last_choice(home)
    chosen = choice or last
    if not ours and chosen != last:
        raise UpFailed(f"{home.root} is up on {last}; for {chosen}, end it first with `fabula down`")
    if ours:
        tell(f"starting on {chosen}, in {home.root}")
        command = [
            sys.executable, "-m", "fabula_cli.supervisor",
            "--home", str(home.root),
            *chosen.arguments(),
            "--gpus", str(gpus),
            "--artifact-root", artifact_root or home.artifacts.as_uri(),
        ]  # fmt: skip
        with (home.logs / "supervisor.log").open("ab") as out:
            started = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        # Until it has written its own state, the file may speak of parts that a killed supervisor has left.
        wait_until(lambda: started.poll() is not None or _written_by(home, started.pid), _START_SECONDS)
    if not wait_until(lambda: operator_ready(home), _START_SECONDS):
        why = _why(home)
        if ours:
            stop(home)
        raise UpFailed(why)
    link_kubeconfig(home)


def _written_by(home: Home, pid: int) -> bool:
    """Whether the state is that of the supervisor with this process id."""
    try:
        return home.supervised() and bool(home.read_state().get("pid") == pid)
    except NotRunning:
        return False


def _why(home: Home) -> str:
    try:
        state = home.read_state()
    except NotRunning:
        return f"the supervisor ended at once; read {home.logs / 'supervisor.log'}"
    problem = state.get("problem") or "the operator is not ready"
    ended = [
        f"{name} ended with exit code {part['lastExit']} (log: {part['log']})"
        for name, part in state.get("parts", {}).items()
        if part.get("lastExit") is not None
    ]
    return "; ".join([f"not ready after {_START_SECONDS:.0f} s: {problem}", *ended])


def link_kubeconfig(home: Home) -> None:
    """Point `<home>/kubeconfig` at the cluster in use."""
    target = home.read_state()["kubeconfig"]
    temporary = home.root / "kubeconfig.new"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(home.kubeconfig)


def stop(home: Home) -> bool:
    """End everything `start` started, pods included, also where the supervisor was killed. False when nothing ran."""
    if not home.supervised():
        return bool(end_left_over(home, signal.SIGTERM))
    pid = home.supervisor_pid()
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not wait_until(lambda: not home.supervised() and _gone(pid), _STOP_SECONDS):
        raise UpFailed(f"the supervisor (pid {pid}) did not end in {_STOP_SECONDS:.0f} s; see {home.logs}")
    return True


def _gone(pid: int) -> bool:
    """Whether a process has ended. One that this process started stays a zombie until it is waited for."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return not Path(f"/proc/{pid}").exists()
