"""Keeps a laptop's parts alive: the operator and what it runs on.

That is one control plane on the laptop's own API; etcd, kube-apiserver and a node with controllers where the real ones
are asked for; a node alone for an outside cluster. It is a process of its own, so that the terminal that started it may
close. A part that dies is started again after a short, growing wait; state on disk makes that safe. SIGTERM ends the
parts in the opposite order of their start: the operator first, then the pods, then what stores them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fabula_api.worker import FORK_SERVERS_VARIABLE
from fabula_cli.bootstrap import NAMESPACE, install, write_operator_kubeconfig
from fabula_cli.certificates import ensure_certificates
from fabula_cli.choice import Choice
from fabula_cli.cluster import reachable
from fabula_cli.home import Home
from fabula_cli.parts import Part, end_left_over, free_port, listens
from fabula_local.assets import lay_out

log = logging.getLogger("fabula.supervisor")
INHERITED = (FORK_SERVERS_VARIABLE, "HF_HOME", "OMP_NUM_THREADS")
"""What pods get of the environment in which the cluster was started: the person's own cache of models, for one, and
how many threads each may use of a machine that all share."""
_FIRST_WAIT, _LONGEST_WAIT, _STEADY = 0.3, 10.0, 30.0


class Supervisor:
    """Starts the parts in order and restarts what dies until it is told to stop."""

    def __init__(self, home: Home, choice: Choice, *, gpus: int, artifact_root: str) -> None:
        self.home = home
        self.choice = choice
        self.stopping = asyncio.Event()
        self.ready = False
        self.problem: str | None = None
        before = self._ports_before()
        self.status_port = before.get("status") or free_port()
        self.metrics_port = before.get("metrics") or free_port(self.status_port)
        self.artifact_root = artifact_root
        self.parts = [*self._cluster_parts(gpus), self._operator_part()]

    def _ports_before(self) -> dict[str, int]:
        """Ports of the last run: pods that outlived it still report to them."""
        try:
            return {str(k): int(v) for k, v in json.loads(self.home.state.read_text()).get("ports", {}).items()}
        except (FileNotFoundError, ValueError):
            return {}

    def _cluster_parts(self, gpus: int) -> list[Part]:
        """What the operator runs on, in the order of its start."""
        state = ["--state-dir", str(self.home.cluster), "--gpus", str(gpus)]
        state += [f"--pass-env={name}" for name in INHERITED]
        log_file = self.home.logs / "cluster.log"
        node = [sys.executable, "-m", "fabula_local.process_node", "--kubeconfig", str(self.kubeconfig), *state]
        if self.choice.outside is not None:
            return [Part("node", node, log_file, stop_seconds=20)]
        if self.choice.control_plane == "laptop":
            command = [sys.executable, "-m", "fabula_local.controlplane", *state]
            return [Part("control plane", command, log_file, stop_seconds=20)]
        assets = lay_out(self.home.cluster, self.choice.assets)
        etcd_port = assets.ports.etcd_client
        return [
            Part("etcd", assets.etcd, self.home.logs / "etcd.log", stop_seconds=15),
            Part(
                "kube-apiserver", assets.apiserver, self.home.logs / "kube-apiserver.log", stop_seconds=15,
                before=lambda: listens(etcd_port),
            ),
            Part("node", node, log_file, stop_seconds=20, before=lambda: reachable(self.kubeconfig)),
        ]  # fmt: skip

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
        return Part(
            "operator", command, self.home.logs / "operator.log", stop_seconds=10,
            before=lambda: self.ready and reachable(self.kubeconfig),
        )  # fmt: skip

    @property
    def kubeconfig(self) -> Path:
        return self.choice.outside or self.home.cluster / "kubeconfig"

    def publish(self) -> None:
        """Write the state file that `fabula laptop` and `fabula demo` read."""
        self.home.write_state(
            {
                "pid": os.getpid(),
                "ready": self.ready,
                "problem": self.problem,
                "choice": self.choice.to_wire(),
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
                    for part in self.parts
                },
            }
        )

    async def keep(self, part: Part) -> None:
        """Run a part until told to stop."""
        wait = _FIRST_WAIT
        while not self.stopping.is_set():
            if part.before is not None and not await self._until(part.before):
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
        # Two of a part on one state folder would fight.
        await asyncio.to_thread(end_left_over, self.home, signal.SIGKILL)
        self.publish()
        keepers = [asyncio.create_task(self.keep(part)) for part in self.parts]
        keepers.append(asyncio.create_task(self.install_when_reachable()))
        await self.stopping.wait()
        log.info("stopping")
        for part in reversed(self.parts):
            await part.stop()
        await asyncio.gather(*keepers, return_exceptions=True)
        self.ready = False
        self.publish()


def main() -> int:
    """Entry of `python -m fabula_cli.supervisor`."""
    parser = argparse.ArgumentParser(prog="fabula_cli.supervisor", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--kubeconfig", type=Path, help="an outside cluster; without it, the laptop's own")
    parser.add_argument("--control-plane", choices=("laptop", "assets"), default="laptop")
    parser.add_argument("--assets", type=Path, help="folder with kube-apiserver and etcd")
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--artifact-root", required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    home = Home(options.home)
    home.prepare()
    lock = home.take_lock()
    if lock is None:
        log.error("another supervisor already runs in %s", home.root)
        return 1

    async def supervise() -> None:
        await Supervisor(
            home,
            Choice(options.control_plane, options.assets, options.kubeconfig),
            gpus=options.gpus,
            artifact_root=options.artifact_root,
        ).run()

    asyncio.run(supervise())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
