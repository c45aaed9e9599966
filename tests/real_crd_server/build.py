"""Building the server into a folder, once: about 250 MB from Debian's mirror and five minutes of a core."""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.real_crd_server.debian import DebianError, unpack

VARIABLE = "FABULA_REAL_CRD_SERVER"
"""Names a folder with a built server; tests that compare with Kubernetes run where it is set."""
SERVER, STORE, ADMISSION = "crd-server", "etcd", "admission"
_PACKAGE = "k8s.io/apiextensions-apiserver"
_ADMISSION_SOURCE = Path(__file__).with_name("admission") / "main.go"
"""Judges writes by an admission policy, with the same sources."""


class BuildError(RuntimeError):
    """The server cannot be built; the message says why and what to do."""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where a built server is kept for all checkouts of this user."""
    base = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".cache"
    return Path(base) / "fabula" / "real-crd-server"


def built(folder: Path) -> bool:
    """Whether the folder has the server and its store."""
    return all(os.access(folder / name, os.X_OK) for name in (SERVER, STORE))


def build(folder: Path) -> None:
    """Build the server into the folder; nothing to do where it is built. Two at once wait for each other."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if built(folder) and os.access(folder / ADMISSION, os.X_OK):
            return
        with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as made:
            scratch = Path(made)
            try:
                packages = unpack(scratch / "root", scratch)
            except DebianError as error:
                raise BuildError(str(error)) from error
            _compile(scratch, _PACKAGE, SERVER)
            _compile(scratch, str(_ADMISSION_SOURCE), ADMISSION)
            (folder / "packages").write_text("\n".join(packages) + "\n")
            # The server comes last: what another process sees as built is whole.
            os.replace(scratch / "root/usr/bin/etcd", folder / STORE)
            os.replace(scratch / ADMISSION, folder / ADMISSION)
            os.replace(scratch / SERVER, folder / SERVER)


def _compile(scratch: Path, package: str, program: str) -> None:
    root = scratch / "root"
    (goroot,) = (root / "usr/lib").glob("go-1.*")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO"))},
        "GOROOT": str(goroot),
        "GOPATH": str(root / "usr/share/gocode"),
        "GOCACHE": str(scratch / "cache-of-go"),
        "GOTOOLCHAIN": "local",
        "GO111MODULE": "off",
        "CGO_ENABLED": "0",
    }
    command = [str(goroot / "bin/go"), "build", "-ldflags=-s -w", "-o", str(scratch / program), package]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{package} does not build:\n{done.stderr[-3000:]}")
