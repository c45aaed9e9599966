"""A laptop cluster and an operator for builds through the stand-in: processes that a test may kill, and kubectl."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.bedrock import Bedrock
from tests.support.control_plane import ControlPlane, environment
from tests.support.operator_driver import install_crds, run_object
from tests.support.operator_process import OperatorProcess, account_kubeconfig, certificates
from tests.support.patience import SECONDS, until
from tests.support.wire import Wire

from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import RUNS, Obj, Resource

BUILD = RUNS["DatasetBuild"]
SECRET = Resource("", "v1", "Secret", "secrets")


class BuildBench:
    """`with BuildBench(folder, bedrock) as bench: bench.apply("data", spec); bench.ended("data")`."""

    def __init__(self, folder: Path, bedrock: Bedrock, libraries: Path | None, *options: str) -> None:
        """`libraries` are servers that have loaded what pods would have to, if any; `options` are the operator's."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.bedrock = folder, bedrock
        self.artifacts = folder / "artifacts"
        self.artifacts.mkdir()
        self.cluster = ControlPlane(folder / "cluster", libraries=libraries)
        given = ("--worker-metrics-port", "0", "--progress-interval", "0.5", *options)
        # The address of the status server stays the same over all starts, so one object starts it again and again.
        self._make_operator = lambda account: OperatorProcess(account, folder, certificates(folder), "one", *given)

    def __enter__(self) -> BuildBench:
        self.cluster.start()
        self.operator = self._make_operator(asyncio.run(self._install()))
        self.operator.__enter__()
        self.wire = Wire(self.cluster.kubeconfig)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.operator.__exit__(kind, problem, trace)
        self.cluster.stop()

    async def _install(self) -> Path:
        api = Api.connect(self.cluster.kubeconfig)
        await install_crds(api)
        account = await account_kubeconfig(api, self.cluster.kubeconfig, self.folder / "operator.kubeconfig")
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bedrock", "namespace": "default"}}
        body = {**secret, "stringData": self.bedrock.environment()}
        await api.request("POST", SECRET.path("default"), body=body)
        await api.close()
        return account

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints; AssertionError when it fails."""
        done = subprocess.run(
            ["kubectl", *arguments], capture_output=True, text=True, timeout=SECONDS, check=False,
            env=environment(self.cluster.kubeconfig),
        )  # fmt: skip
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def patch(self, name: str, spec: dict[str, Any]) -> None:
        """`kubectl patch` of a build's spec."""
        self.kubectl("patch", "dsb", name, "--type", "merge", "-p", json.dumps({"spec": spec}))

    def apply(self, name: str, spec: dict[str, Any]) -> None:
        """`kubectl apply` of a build."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(run_object("DatasetBuild", "default", name, spec)))
        self.kubectl("apply", "-f", str(path))

    def build(self, name: str) -> Obj:
        """The build as the API server has it; waits for a server that is coming back."""

        def look() -> Obj | None:
            with suppress(OSError):
                return self.wire.ok("GET", BUILD.path("default", name))
            return None

        build: Obj = until(look, "the API server answers")
        return build

    def status(self, name: str) -> Obj:
        """The build's status; empty before the operator has seen it."""
        return dict(self.build(name).get("status") or {})

    def until(self, name: str, holds: Callable[[Obj], Any], what: str) -> Obj:
        """The status once it is as wanted."""

        def look() -> Obj | None:
            status = self.status(name)
            return status if holds(status) else None

        seen: Obj = until(look, lambda: f"{what}; it is {self.status(name).get('progress')}")
        return seen

    def over(self, name: str) -> Obj | None:
        """The status if the build has ended with the spec as it is now."""
        build = self.build(name)
        status: Obj = build.get("status") or {}
        seen = status.get("observedGeneration") == build["metadata"]["generation"]
        return status if seen and status.get("state") in ("Succeeded", "Failed") else None

    def ended(self, name: str) -> Obj:
        """The status of a build that has ended well."""
        status: Obj = until(lambda: self.over(name), lambda: f"the end of {name}; it is {self.status(name)}")
        assert status["state"] == "Succeeded", status.get("failure")
        return status

    def workers(self, stage: str = "") -> list[int]:
        """Pids of the workers of this cluster's pods, of one stage or of any."""
        return [pid for pid, name in self._processes() if stage in ("", name)]

    def _processes(self) -> Iterator[tuple[int, str]]:
        mark = f'"root":"{self.artifacts.as_uri()}"'.encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes().split(b"\0")
                worker = next((n for n, part in enumerate(command) if part.endswith(b"/fabula-worker")), None)
                # The node's shim has the same words in its command line, but runs a shell.
                if worker and b"python" in command[0] and mark in (entry / "environ").read_bytes():
                    yield int(entry.name), command[worker + 1].decode()
