"""Keeps a laptop's parts alive: the control plane (or the node, for an outside cluster) and the operator.

A process of its own, so that the terminal that started it may close. A part that dies is started again after a short,
growing wait; state on disk makes that safe. SIGTERM ends the operator first, then the pods, then the control plane.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fabula_cli.bootstrap import NAMESPACE, install, write_operator_kubeconfig
from fabula_cli.certificates import ensure_certificates
from fabula_cli.cluster import reachable
from fabula_cli.home import Home

log = logging.getLogger("fabula.supervisor")
_FIRST_WAIT, _LONGEST_WAIT, _STEADY = 0.3, 10.0, 30.0
_READY_SECONDS = 60.0


@dataclass
class Part:
    """One supervised process."""

    name: str
    command: list[str]
    log_file: Path
    stop_seconds: float
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


def command_line(pid: int) -> bytes:
    """The command line of a living process; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class Supervisor:
    """Starts the parts in order and restarts what dies until it is told to stop."""

    def __init__(self, home: Home, *, outside: Path | None, control_plane: str, gpus: int, artifact_root: str) -> None:
        self.home = home
        self.outside = outside
        self.stopping = asyncio.Event()
        self.ready = False
        self.problem: str | None = None
        before = self._ports_before()
        self.status_port = before.get("status") or free_port()
        self.metrics_port = before.get("metrics") or free_port(self.status_port)
        self.artifact_root = artifact_root
        self.cluster = self._cluster_part(control_plane, gpus)
        self.operator = self._operator_part()

    def _ports_before(self) -> dict[str, int]:
        """Ports of the last run: pods that outlived it still report to them."""
        try:
            return {str(k): int(v) for k, v in json.loads(self.home.state.read_text()).get("ports", {}).items()}
        except (FileNotFoundError, ValueError):
            return {}

    async def end_orphans(self) -> None:
        """Kill parts that outlived a killed supervisor: two control planes on one state folder would fight.

        SIGKILL leaves the pods running; the next node adopts them.
        """
        try:
            parts = json.loads(self.home.state.read_text()).get("parts", {})
        except (FileNotFoundError, ValueError):
            return
        for name, part in parts.items():
            pid = part.get("pid")
            if pid and str(self.home.root).encode() in command_line(pid):
                log.warning("killing the %s of a former supervisor, pid %d", name, pid)
                os.kill(pid, signal.SIGKILL)
                await self._until(lambda pid=pid: not command_line(pid))  # type: ignore[misc]

    def _cluster_part(self, control_plane: str, gpus: int) -> Part:
        state = ["--state-dir", str(self.home.cluster), "--gpus", str(gpus)]
        if self.outside is not None:
            command = [sys.executable, "-m", "fabula_local.process_node", "--kubeconfig", str(self.outside), *state]
            name = "node"
        else:
            command = [sys.executable, "-m", "fabula_local.controlplane", *state, "--control-plane", control_plane]
            name = "control plane"
        return Part(name, command, self.home.logs / "cluster.log", stop_seconds=20)

    def _operator_part(self) -> Part:
        certificates = ensure_certificates(self.home.tls)
        command = [
            str(Path(sys.executable).parent / "fabula-operator"),
            "--kubeconfig", str(self.home.operator_kubeconfig),
            "--artifact-root", self.artifact_root,
            "--status-host", "127.0.0.1",
            "--status-port", str(self.status_port),
            "--status-url", f"https://127.0.0.1:{self.status_port}",
            "--tls-cert", str(certificates.certificate),
            "--tls-key", str(certificates.key),
            "--status-ca", str(certificates.authority),
            "--metrics-host", "127.0.0.1",
            "--metrics-port", str(self.metrics_port),
            # Pods share one network here, so a fixed port for each worker's metrics could not be had twice.
            "--worker-metrics-port", "0",
            "--worker-grace", "20",
            # One person's machine: runs of all namespaces may read what lies in the one store.
            "--confine", "off",
            "--lease-namespace", NAMESPACE,
            # The supervisor never runs two, so a restarted operator may take its predecessor's lease at once.
            "--identity", "laptop",
            "--retry-backoff", "1",
            "--progress-interval", "1",
        ]  # fmt: skip
        return Part("operator", command, self.home.logs / "operator.log", stop_seconds=10)

    @property
    def kubeconfig(self) -> Path:
        return self.outside or self.home.cluster / "kubeconfig"

    def publish(self) -> None:
        """Write the state file that `fabula status` and `fabula demo` read."""
        self.home.write_state(
            {
                "pid": os.getpid(),
                "ready": self.ready,
                "problem": self.problem,
                "kubeconfig": str(self.kubeconfig),
                "artifactRoot": self.artifact_root,
                "ports": {"status": self.status_port, "metrics": self.metrics_port},
                "parts": {
                    part.name: {
                        "pid": part.process.pid if part.process and part.process.returncode is None else None,
                        "starts": part.starts,
                        "lastExit": part.last_exit,
                        "log": str(part.log_file),
                    }
                    for part in (self.cluster, self.operator)
                },
            }
        )

    async def keep(self, part: Part, before: Callable[[], bool] | None = None) -> None:
        """Run a part until told to stop; `before` must hold before each start."""
        wait = _FIRST_WAIT
        while not self.stopping.is_set():
            if before is not None and not await self._until(before):
                return
            began = time.monotonic()
            process = await part.start()
            self.publish()
            part.last_exit = await process.wait()
            if self.stopping.is_set():
                return
            wait = _FIRST_WAIT if time.monotonic() - began > _STEADY else min(wait * 2, _LONGEST_WAIT)
            log.warning("%s ended with exit code %s; next start in %.1f s", part.name, part.last_exit, wait)
            self.publish()
            await self._pause(wait)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _until(self, condition: Callable[[], bool]) -> bool:
        while not self.stopping.is_set():
            if await asyncio.to_thread(condition):
                return True
            await self._pause(0.1)
        return False

    async def install_when_reachable(self) -> None:
        """CRDs, rights and the operator's kubeconfig, as soon as the API server answers."""
        while not self.stopping.is_set():
            if not await self._until(lambda: self.kubeconfig.exists() and reachable(self.kubeconfig)):
                return
            try:
                await asyncio.to_thread(install, self.kubeconfig)
                await asyncio.to_thread(write_operator_kubeconfig, self.kubeconfig, self.home.operator_kubeconfig)
            except Exception as error:
                problem = f"installing CRDs and rights failed: {type(error).__name__}: {error}"
                if problem != self.problem:
                    log.warning("%s", problem)
                self.problem = problem
                self.publish()
                await self._pause(1)
                continue
            self.problem, self.ready = None, True
            log.info("CRDs and rights installed")
            self.publish()
            return

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        await self.end_orphans()
        self.publish()
        keepers = [
            asyncio.create_task(self.keep(self.cluster)),
            asyncio.create_task(self.install_when_reachable()),
            asyncio.create_task(self.keep(self.operator, before=lambda: self.ready and reachable(self.kubeconfig))),
        ]
        await self.stopping.wait()
        log.info("stopping")
        await self.operator.stop()
        await self.cluster.stop()
        await asyncio.gather(*keepers, return_exceptions=True)
        self.ready = False
        self.publish()


def main() -> int:
    """Entry of `python -m fabula_cli.supervisor`."""
    parser = argparse.ArgumentParser(prog="fabula_cli.supervisor", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--kubeconfig", type=Path, help="an outside cluster; without it, the laptop's own")
    parser.add_argument("--control-plane", choices=("laptop", "assets"), default="laptop")
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--artifact-root", required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    home = Home(options.home)
    home.prepare()
    lock = home.take_lock()
    if lock is None:
        log.error("another supervisor already runs in %s", home.root)
        return 1

    async def supervise() -> None:
        await Supervisor(
            home,
            outside=options.kubeconfig,
            control_plane=options.control_plane,
            gpus=options.gpus,
            artifact_root=options.artifact_root,
        ).run()

    asyncio.run(supervise())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
