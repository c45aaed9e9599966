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


def work_of(pid: str) -> Path | None:
    """The scratch folder of a rank, in which its log is."""
    try:
        log = Path(os.readlink(f"/proc/{pid}/fd/2"))
    except OSError:
        return None
    return next((folder.parent for folder in log.parents if folder.name == "torchrun"), None)


def training(root: Path, namespace: str, name: str | None = None) -> Iterator[Process]:
    """Processes of a namespace's training runs over one artifact root, as they are now."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        variables = _variables(entry.name)
        if "FABULA_CONFIG" not in variables:
            continue
        try:
            config = json.loads(variables["FABULA_CONFIG"])
        except ValueError:
            continue
        if not isinstance(config, dict):
            continue  # somebody else's, or one that is to be refused
        run = config.get("run", {})
        if _local(str(config.get("root", ""))) != root:
            continue
        if config.get("stage") != "train" or run.get("namespace") != namespace or name not in (None, run.get("name")):
            continue
        if found := _role(entry.name):
            role, rank = found
            work = work_of(entry.name) if role == "rank" else None
            yield Process(int(entry.name), role, rank, config, work / "job.json" if work else None)


def send(processes: Iterable[Process], number: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to each; how many were still there."""
    sent = 0
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
            sent += 1
    return sent
