"""The laptop cluster in one process: API server, controllers and process node."""

import argparse
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from fabula_local import logs
from fabula_local.apiserver import ServerConfig, serve
from fabula_local.apiserver.server import StartError
from fabula_local.client import Api
from fabula_local.controllers import registry
from fabula_local.node.settings import NodeSettings
from fabula_local.process_node import (
    LAPTOP_BACKOFF_SECONDS,
    Workers,
    add_node_arguments,
    pid_file,
    stop_signal,
)

log = logging.getLogger("fabula.local")

PID_FILE = "control-plane.pid"
OF_OWN_SERVER = ("serviceaccount", "namespace")
"""Controllers whose work our own API server does itself."""


async def run_control_plane(
    state_dir: Path,
    *,
    port: int = 0,
    gpus: int = 0,
    cpus: float | None = None,
    pass_env: Sequence[str] = (),
    backoff_seconds: float = LAPTOP_BACKOFF_SECONDS,
    stop_pods: bool = True,
    ready: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then end all pods (`stop_pods`) and leave the state for the next start.

    Writes `kubeconfig` and `control-plane.pid` into `state_dir`. `ready` is called once when pods can run.
    """
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)  # noqa: ASYNC240 - before anything else runs
    stopped = stop_signal()
    server = await serve(ServerConfig(state_dir=state_dir, port=port, logs_dir=state_dir / "pods"))
    try:
        with pid_file(state_dir / PID_FILE):
            api = Api.from_kubeconfig(server.kubeconfig_path, user_agent="fabula-local")
            # Logs are not served: our own API server reads them from the state directory.
            settings = NodeSettings(state_dir, gpus=gpus, cpus=cpus, pass_env=tuple(pass_env))
            # Our own server looks after ServiceAccounts and namespaces itself.
            names = [name for name in registry.NAMES if name not in OF_OWN_SERVER]
            workers = Workers(api, settings, names, backoff_seconds=backoff_seconds)
            try:
                await workers.start()
                log.info("control plane is ready at %s", server.url)
                if ready is not None:
                    ready()
                await stopped.wait()
                log.info("stopping")
            finally:
                await workers.stop(stop_pods=stop_pods)
                await api.close()
    finally:
        await server.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the control plane."""
    parser = argparse.ArgumentParser(description="Run a Kubernetes cluster for one machine in one process.")
    parser.add_argument("--port", type=int, default=0, help="port of the API server (default: that of the last start)")
    add_node_arguments(parser)
    chosen = parser.parse_args(arguments)
    logs.configure()
    try:
        uvloop.run(
            run_control_plane(
                chosen.state_dir,
                port=chosen.port,
                gpus=chosen.gpus,
                cpus=chosen.cpus,
                pass_env=chosen.pass_env,
                stop_pods=not chosen.keep_pods,
            )
        )
    except StartError as error:
        raise SystemExit(f"fabula control plane: {error}") from error


if __name__ == "__main__":
    main()
