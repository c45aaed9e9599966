"""Where the laptop mode keeps its state: one folder with the cluster, the operator's files, artifacts and logs."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

HOME_VARIABLE = "FABULA_HOME"


class NotRunning(Exception):
    """The laptop cluster is not up."""


def checkout() -> Path | None:
    """The source checkout this package is imported from; None for an installed wheel."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "examples" / "quickstart").is_dir() else None


def default_home() -> Path:
    """$FABULA_HOME, else `.fabula` in the checkout, else `~/.fabula`."""
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named).expanduser().resolve()
    return (checkout() or Path.home()) / ".fabula"


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below the state folder."""

    root: Path

    @property
    def cluster(self) -> Path:
        return self.root / "cluster"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the cluster in use; for an outside cluster, a link to the file that was named."""
        return self.root / "kubeconfig"

    @property
    def operator_kubeconfig(self) -> Path:
        return self.root / "operator.kubeconfig"

    @property
    def lock(self) -> Path:
        return self.root / "supervisor.lock"

    @property
    def state(self) -> Path:
        return self.root / "supervisor.json"

    def prepare(self) -> None:
        """Create the folders; only the owner may read them, since they hold keys and tokens."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for folder in (self.cluster, self.logs, self.tls, self.artifacts):
            folder.mkdir(exist_ok=True)

    def read_state(self) -> dict[str, Any]:
        """What the supervisor last wrote: pids, ports and readiness. Raises NotRunning when there is no supervisor."""
        if not self.supervised():
            raise NotRunning(f"no cluster is up in {self.root}; start one with `fabula up`")
        try:
            return dict(json.loads(self.state.read_text()))
        except (FileNotFoundError, json.JSONDecodeError):
            return {"ready": False, "parts": {}}

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the supervisor's state file in one step."""
        temporary = self.state.with_suffix(".tmp")
        temporary.write_text(json.dumps(state, indent=2))
        temporary.replace(self.state)

    def take_lock(self) -> IO[str] | None:
        """The supervisor's lock, held until the file is closed or the process ends; None when another holds it."""
        handle = self.lock.open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return None
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        return handle

    def supervised(self) -> bool:
        """Whether a supervisor is alive. Asks the lock, which a killed process cannot keep."""
        if not self.lock.exists():
            return False
        with self.lock.open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(handle, fcntl.LOCK_UN)
        return False

    def supervisor_pid(self) -> int | None:
        """Process id written into the lock file."""
        try:
            return int(self.lock.read_text().strip())
        except (FileNotFoundError, ValueError):
            return None


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.1) -> bool:
    """Whether `condition` became true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
