"""Run the API server alone: python -m fabula_local.apiserver --state-dir DIR [--port N]."""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path

import uvloop

from fabula_local.apiserver.config import ServerConfig
from fabula_local.apiserver.server import StartError, serve


async def _run(config: ServerConfig) -> None:
    server = await serve(config)
    print(f"serving {server.url}, kubeconfig {server.kubeconfig_path}", flush=True)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await server.stop()


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m fabula_local.apiserver", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True, help="where objects, keys and kubeconfig are kept")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes the last one, or a free one")
    parser.add_argument("--logs-dir", type=Path, default=None, help="where pod logs are (STATE_DIR/pods)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = ServerConfig(options.state_dir, options.host, options.port, options.logs_dir)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(_run(config))
    except StartError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
