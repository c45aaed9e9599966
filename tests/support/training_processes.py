"""The processes of a training run on this machine, found by the environment that every one of them carries."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

Role = Literal["launcher", "server", "client", "agent", "rank"]
"""The launcher's server has the libraries and is copied for agent and ranks; a client waits for each of them."""


@dataclass(frozen=True)
class Process:
    """One process of one attempt."""

    pid: int
    role: Role
    rank: int | None
    config: dict[str, Any]
    """The worker's config."""
    job: Path | None
    """The job file in the attempt's scratch folder; of a rank."""

    @property
    def attempt(self) -> int:
        return int(self.config["attempt"])

    @property
    def output(self) -> Path:
        """The artifact's folder; only for `file://`."""
        uri = self.config["output"]
        if "://" not in uri:
            uri = f"{self.config['root'].rstrip('/')}/{uri}"
        return _local(uri)

    @property
    def root(self) -> Path:
        """The artifact root, which tells the runs of one test from those of another beside it."""
        return _local(self.config["root"])


def _local(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def _variables(pid: str) -> dict[str, str]:
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(pair.decode(errors="replace").split("=", 1) for pair in pairs if b"=" in pair)


def _role(pid: str) -> tuple[Role, int | None] | None:
    """What it is, and which rank."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
    if "fabula-shim" in command:
        return None
    if name == "fabula-agent":
        return "agent", None
    if name.startswith("fabula-rank-"):
        return "rank", int(name.rpartition("-")[2])
    for module, role in ((".preloaded.server", "server"), ("/preloaded/client.py", "client")):
        if module in command:
            return role, None  # type: ignore[return-value]
    return ("launcher", None) if "fabula-worker train" in command else None


def _log(pid: str) -> str:
    """Where its standard error goes; empty for one that is gone."""
    try:
        return os.readlink(f"/proc/{pid}/fd/2")
    except OSError:
        return ""


def work_of(pid: str) -> Path | None:
    """The scratch folder of a rank, in which its log is."""
    return next((folder.parent for folder in Path(_log(pid)).parents if folder.name == "torchrun"), None)


_asked: dict[str, dict[str, Any]] = {}
"""Configs by log, of all who have asked a server for a process. A copy of a server that several runs share still shows
the server's environment, but writes to the log of who asked for it."""


def training(root: Path, namespace: str, name: str | None = None) -> Iterator[Process]:
    """Processes of a namespace's training runs over one artifact root, as they are now."""
    copies = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        variables = _variables(entry.name)
        if "FABULA_CONFIG" not in variables:
            copies.append(entry.name)
            continue
        try:
            config = json.loads(variables["FABULA_CONFIG"])
        except ValueError:
            continue
        if not isinstance(config, dict):
            continue  # somebody else's, or one that is to be refused
        if (process := _process(entry.name, config)) is not None:
            if process.role == "client":
                _asked[_log(entry.name)] = config
            if _is_of(config, root, namespace, name):
                yield process
    for pid in copies:
        config = _asked.get(_log(pid), {})
        if _is_of(config, root, namespace, name) and (process := _process(pid, config)) is not None:
            yield process


def _is_of(config: dict[str, Any], root: Path, namespace: str, name: str | None) -> bool:
    run = config.get("run", {})
    return (
        config.get("stage") == "train"
        and _local(str(config.get("root", ""))) == root
        and run.get("namespace") == namespace
        and name in (None, run.get("name"))
    )


def _process(pid: str, config: dict[str, Any]) -> Process | None:
    if config.get("stage") != "train" or (known := _role(pid)) is None:
        return None
    role, rank = known
    work = work_of(pid) if role == "rank" else None
    return Process(int(pid), role, rank, config, work / "job.json" if work else None)


def send(processes: Iterable[Process], number: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to each; how many were still there."""
    sent = 0
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
            sent += 1
    return sent
