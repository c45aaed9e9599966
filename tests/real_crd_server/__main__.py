"""`python -m tests.real_crd_server build|run [FOLDER]`; the folder is a cache of this user's by default."""

import argparse
import contextlib
import signal
import tempfile
from pathlib import Path

from tests.real_crd_server import BuildError, RealCrdServer, build, cache_folder


def main() -> None:
    """Build the server, or run it until Ctrl-C and print its kubeconfig's path."""
    parser = argparse.ArgumentParser(prog="python -m tests.real_crd_server", description="Kubernetes' CRD server.")
    parser.add_argument("command", choices=("build", "run"))
    parser.add_argument("folder", nargs="?", type=Path, default=cache_folder(), help="default: %(default)s")
    chosen = parser.parse_args()
    try:
        build(chosen.folder.absolute())
    except BuildError as error:
        raise SystemExit(f"real CRD server: {error}") from error
    if chosen.command == "build":
        print(chosen.folder.absolute())
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory() as state,
        RealCrdServer(chosen.folder.absolute(), Path(state)) as server,
    ):
        print(server.kubeconfig, flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
