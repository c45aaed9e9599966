"""The whole laptop cluster for a test, as a process of its own: server, controllers and node."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support import copies
from tests.support.patience import SECONDS, eventually, until

from fabula_local.client import Api, ApiError
from fabula_local.kinds import NAMESPACE, POD, Kind
from fabula_local.node import processes

FORK_SERVERS = "FABULA_FORK_SERVERS"
"""The laptop's cluster knows nothing of the product, nor do its tests."""


class ControlPlane:
    """`with ControlPlane(folder, "--gpus", "2") as cluster: ... cluster.kubeconfig`."""

    def __init__(self, state_dir: Path, *arguments: str, libraries: Path | None = None) -> None:
        """`libraries` are servers that have loaded what pods would have to."""
        self.state_dir = state_dir
        self.kubeconfig = state_dir / "kubeconfig"
        self.log = state_dir / "control-plane.log"
        # Threads of several pods on few cores wait for each other, spinning: up to six times the work.
        passed = ("--pass-env", "OMP_NUM_THREADS")
        self._arguments = (*arguments, *passed, *(() if libraries is None else ("--pass-env", FORK_SERVERS)))
        self._environment = {} if libraries is None else {FORK_SERVERS: str(libraries)}
        self._process: copies.Process | None = None

    def __enter__(self) -> "ControlPlane":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until pods can run."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = copies.start(
                "fabula_local.controlplane", "--state-dir", str(self.state_dir), *self._arguments, log=output,
                environment=os.environ | self._environment,
            )  # fmt: skip
        process = self._process

        def is_ready() -> bool:
            said = self.log.read_text()[begin:]
            assert process.poll() is None, f"the control plane did not start:\n{said[-3000:]}"
            return "control plane is ready" in said

        until(is_ready, lambda: f"the control plane to start:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """Stop it orderly: no process of a pod is left."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it as a crash would: pods run on."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


class Cluster:
    """What a test asks of a cluster, in one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    async def __aenter__(self) -> "Cluster":
        await self.api.create(NAMESPACE, {"metadata": {"name": self.namespace}})
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.api.delete(NAMESPACE, self.namespace)
        await self.api.close()

    async def create(self, kind: Kind, name: str, spec: dict[str, Any], **meta: Any) -> dict[str, Any]:
        """Create an object; retried while a fresh namespace has no ServiceAccount yet."""
        body = {"metadata": {"name": name, "namespace": self.namespace, **meta}, "spec": spec}

        async def created() -> dict[str, Any] | None:
            try:
                return await self.api.create(kind, body)
            except ApiError as error:
                if error.code != 403:
                    raise
                return None

        return await eventually(created, "the namespace's ServiceAccount")

    async def get(self, kind: Kind, name: str) -> dict[str, Any]:
        """The object."""
        return await self.api.get(kind, name, self.namespace)

    async def pods(self, labels: str | None = None) -> list[dict[str, Any]]:
        """The namespace's pods."""
        items, _ = await self.api.list(POD, self.namespace, labels=labels)
        return items

    async def until(self, kind: Kind, name: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait for an object to be as wanted; it."""

        async def look() -> dict[str, Any] | None:
            obj = await self.api.find(kind, name, self.namespace)
            return obj if obj is not None and holds(obj) else None

        return await eventually(look, f"{kind.kind} {name}")

    async def gone(self, kind: Kind, name: str) -> None:
        """Wait for an object to be gone."""

        async def look() -> bool:
            return await self.api.find(kind, name, self.namespace) is None

        await eventually(look, f"{kind.kind} {name} to be gone")

    async def logs(self, pod: str, **params: str) -> str:
        """A pod's log."""
        return await self.api.text(POD.path(self.namespace, pod, "log"), params)


def condition(obj: dict[str, Any], kind: str) -> str | None:
    """The reason of a condition that is True; None if it is not."""
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry["type"] == kind and entry["status"] == "True":
            return str(entry.get("reason", ""))
    return None


def phase(pod: dict[str, Any]) -> str:
    """The pod's phase."""
    return str((pod.get("status") or {}).get("phase"))


def running(pods: list[dict[str, Any]]) -> list[int]:
    """Pids of all processes of these pods on this machine."""
    return [pid for pod in pods for pid in processes.marked(pod["metadata"]["uid"])]


def container(script: str, **more: Any) -> dict[str, Any]:
    """A container that runs a shell script."""
    return {"name": "main", "image": "none", "command": ["sh", "-c", script], **more}


def environment(kubeconfig: Path) -> dict[str, str]:
    """For kubectl."""
    return {**os.environ, "KUBECONFIG": str(kubeconfig)}
