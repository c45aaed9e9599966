"""Controllers and process node for one API server, whichever it is.

This is `fabula node --kubeconfig FILE --controllers ...`; the laptop's control plane runs the same beside its server.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvloop

from fabula_local import logs
from fabula_local.client import Api, ApiError
from fabula_local.controllers import registry
from fabula_local.controllers.claims import Claims, fresh
from fabula_local.kinds import LEASE
from fabula_local.manifests.install import install_pytorchjob
from fabula_local.node.agent import ProcessNode
from fabula_local.node.settings import NodeSettings
from fabula_local.reflector import Caches

log = logging.getLogger("fabula.local")

OF_CONTROLLER_MANAGER = ("job", "garbage", "deployment", "serviceaccount", "namespace")
LAPTOP_BACKOFF_SECONDS = 1.0


@dataclass
class Workers:
    """Controllers and node on one API server."""

    api: Api
    settings: NodeSettings
    controllers: Collection[str]
    backoff_seconds: float = LAPTOP_BACKOFF_SECONDS
    node: bool = True
    """Whether to run a process node."""
    _caches: Caches | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _node: ProcessNode | None = None
    _claims: Claims | None = None

    async def start(self) -> None:
        """Start everything; returns when the node is registered and takes pods."""
        self._caches = Caches(self.api)
        if "pytorchjob" in self.controllers:
            await install_pytorchjob(self.api)
        self._claims = Claims(self.api, holder=f"{socket.gethostname()}:{self.settings.state_dir}")
        registry.check_names(self.controllers)
        for name in self.controllers:
            self._tasks.append(asyncio.create_task(self._serve(name), name=f"controller-{name}"))
        if self.node:
            self._node = ProcessNode(self.api, self._caches, self.settings)
            await self._node.start()

    async def _serve(self, name: str) -> None:
        """Run the controllers of a name, as long as no other process does."""
        assert self._claims is not None
        assert self._caches is not None
        while True:
            await self._claims.acquire(name)
            controllers = registry.build(
                [name],
                self.api,
                self._caches,
                backoff_seconds=self.backoff_seconds,
                authority=self.api.authority,
            )
            kept = asyncio.create_task(self._claims.keep(name), name=f"lease-{name}")
            serving = [
                asyncio.create_task(registry.run_forever(controller), name=f"controller-{controller.name}")
                for controller in controllers
            ]
            try:
                await asyncio.wait((kept, *serving), return_when=asyncio.FIRST_COMPLETED)
                for task in serving:
                    if task.done():
                        task.result()
            finally:
                for task in (kept, *serving):
                    task.cancel()
                await asyncio.gather(kept, *serving, return_exceptions=True)

    async def stop(self, *, stop_pods: bool) -> None:
        """Controllers first, so that nothing replaces the pods that the node then ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._claims is not None:
            await self._claims.release()
        if self._node is not None:
            await self._node.stop(stop_pods=stop_pods)
        if self._caches is not None:
            await self._caches.close()


async def missing_controllers(api: Api) -> list[str]:
    """The controllers that the cluster does not bring itself, told by the Leases of those that run."""
    holders = await _running(api)
    absent = [] if "kube-controller-manager" in holders else list(OF_CONTROLLER_MANAGER)
    if not any("training-operator" in name for name in holders):
        absent.append("pytorchjob")
    return absent


async def has_scheduler(api: Api) -> bool:
    """Whether a scheduler binds pods in this cluster."""
    return "kube-scheduler" in await _running(api)


async def _running(api: Api) -> set[str]:
    leases, _ = await api.list(LEASE)
    return {str(lease["metadata"]["name"]) for lease in leases if fresh(lease)}


async def run_node(
    kubeconfig: Path,
    controllers: Collection[str] | None,
    state_dir: Path,
    *,
    name: str = "laptop",
    gpus: int = 0,
    cpus: float | None = None,
    pass_env: Sequence[str] = (),
    backoff_seconds: float = LAPTOP_BACKOFF_SECONDS,
    stop_pods: bool = True,
) -> None:
    """Serve a cluster until SIGTERM or SIGINT.

    `controllers` None means those that the cluster lacks. Logs are served over HTTPS as a kubelet does.
    """
    if controllers is not None:
        registry.check_names(controllers)
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)  # noqa: ASYNC240 - before anything else runs
    api = Api.from_kubeconfig(kubeconfig, user_agent="fabula-node")
    settings = NodeSettings(state_dir, name=name, gpus=gpus, cpus=cpus, pass_env=tuple(pass_env), serve_logs=True)
    try:
        chosen = await missing_controllers(api) if controllers is None else list(controllers)
        settings = replace(settings, bind=not await has_scheduler(api))
        log.info("controllers: %s; binding pods: %s", ", ".join(chosen) or "none", settings.bind)
        workers = Workers(api, settings, chosen, backoff_seconds=backoff_seconds)
        stopped = stop_signal()
        await workers.start()
        await stopped.wait()
        await workers.stop(stop_pods=stop_pods)
    finally:
        await api.close()


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


@contextlib.contextmanager
def pid_file(path: Path) -> Iterator[None]:
    """A file with this process's pid while it runs."""
    path.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def add_node_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every way to start a node shares."""
    parser.add_argument("--state-dir", type=Path, required=True, help="where pods, logs and volumes are kept")
    parser.add_argument("--gpus", type=int, default=0, help="nvidia.com/gpu to offer")
    parser.add_argument("--cpus", type=float, default=None, help="cores to offer (default: all)")
    parser.add_argument(
        "--pass-env", action="append", default=[], metavar="NAME", help="variable that containers inherit; repeatable"
    )
    parser.add_argument(
        "--keep-pods", action="store_true", help="let pods run on when this process is stopped by SIGTERM or SIGINT"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of a node for any cluster."""
    parser = argparse.ArgumentParser(description="Run a cluster's pods as local processes.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--controllers", default=None, help=f"comma-separated, of {', '.join(registry.NAMES)}")
    parser.add_argument("--name", default="laptop", help="name of the Node")
    add_node_arguments(parser)
    chosen = parser.parse_args(arguments)
    logs.configure()
    controllers = None if chosen.controllers is None else [name for name in chosen.controllers.split(",") if name]
    try:
        uvloop.run(
            run_node(
                chosen.kubeconfig,
                controllers,
                chosen.state_dir,
                name=chosen.name,
                gpus=chosen.gpus,
                cpus=chosen.cpus,
                pass_env=chosen.pass_env,
                stop_pods=not chosen.keep_pods,
            )
        )
    except (ApiError, ValueError, OSError) as error:
        raise SystemExit(f"fabula node: {error}") from error


if __name__ == "__main__":
    main()
