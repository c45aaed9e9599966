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

Role = Literal["launcher", "agent", "rank"]


@dataclass(frozen=True)
class Process:
    """One process of one attempt."""

    pid: int
    role: Role
    rank: int | None
    config: dict[str, Any]
    """The worker's config."""
    job: Path | None
    """The ranks' job file, in the attempt's scratch folder."""

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


def _role(pid: str, variables: dict[str, str]) -> Role | None:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    if "fabula-shim" in command:
        return None
    if "fabula_workloads.training.rank.entry" in command and "RANK" in variables:
        return "rank"
    if "fabula_workloads.training.launcher.agent" in command:
        return "agent"
    return "launcher" if "fabula-worker train" in command else None


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
        if role := _role(entry.name, variables):
            rank = int(variables["RANK"]) if role == "rank" else None
            job = Path(variables["FABULA_TRAINING_JOB"]) if role != "launcher" else None
            yield Process(int(entry.name), role, rank, config, job)


def send(processes: Iterable[Process], number: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to each; how many were still there."""
    sent = 0
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
            sent += 1
    return sent
