"""The product as a person runs it: the `fabula` command and kubectl, in a state folder of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from fabula_api.worker import FORK_SERVERS_VARIABLE
from tests.support import copies
from tests.support.patience import SECONDS
from tests.support.wire import Wire

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[2]
PATH = f"{BIN}{os.pathsep}{os.environ['PATH']}"


@dataclass(frozen=True)
class Process:
    """A process of this machine."""

    pid: int
    command: str
    environment: str = field(repr=False)

    @property
    def text(self) -> str:
        return self.command + self.environment


@dataclass(frozen=True)
class Product:
    """One state folder and what runs from it."""

    home: Path
    outside: str | None
    namespace: str
    libraries: Path | None = None
    """Servers that have the libraries of training loaded; None has each run load them itself."""

    @property
    def environment(self) -> dict[str, str]:
        env = {**os.environ, "FABULA_HOME": str(self.home), "PATH": PATH}
        if self.libraries:
            env[FORK_SERVERS_VARIABLE] = str(self.libraries)
        env["KUBECONFIG"] = str(self.home / "kubeconfig")
        return env

    @cached_property
    def wire(self) -> Wire:
        """For what is asked again and again: a kubectl for each look costs more than what it looks at."""
        return Wire(self.home / "kubeconfig")

    def words(self, *arguments: str) -> list[str]:
        """What a person types after `fabula`, with what this cluster needs."""
        outside = ["--kubeconfig", self.outside] if self.outside and arguments[0] in ("up", "demo") else []
        return [*arguments, *outside, *(["--namespace", self.namespace] if arguments[0] == "demo" else [])]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command as a process that loads all by itself, as a person has it."""
        return subprocess.Popen(
            [str(BIN / "fabula"), *self.words(*arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment, cwd=ROOT,
        )  # fmt: skip

    def fabula(self, *arguments: str) -> tuple[int, str]:
        """Run the command, whose libraries are loaded, to its end: its exit code, and all that it said."""
        process = copies.start("fabula_cli.main", *self.words(*arguments), environment=self.environment)
        output, _ = process.communicate(timeout=SECONDS)
        return process.wait(), output

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["kubectl", "-n", self.namespace, *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=SECONDS + 60,  # `kubectl wait` may take SECONDS
            check=False,
        )
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def get(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", *arguments, "-o", "json")))

    def items(self, kinds: str) -> list[dict[str, Any]]:
        return list(self.get(kinds)["items"])

    def parts(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "supervisor.json").read_text()))

    def processes(self) -> list[Process]:
        """Processes that belong to this state folder, and to no other test's beside it."""
        mine = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (entry / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(self.home) in command + environment and int(entry.name) != os.getpid():
                mine.append(Process(int(entry.name), command, environment))
        return mine


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The product in a state folder of its own; on an outside cluster in a namespace of its own, gone at the end."""
    with of_its_own(tmp_path_factory.mktemp("fabula") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def warm_product(tmp_path_factory: pytest.TempPathFactory, product_libraries: Path) -> Iterator[Product]:
    """As `product`, for journeys through several training runs: they share the libraries of training."""
    with of_its_own(tmp_path_factory.mktemp("fabula") / "home", product_libraries) as found:
        yield found


@contextlib.contextmanager
def of_its_own(home: Path, libraries: Path | None = None) -> Iterator[Product]:
    """The product over a new state folder."""
    outside = os.environ.get("KUBECONFIG")
    namespace = f"e2e-{uuid.uuid4().hex[:8]}" if outside else "default"
    found = Product(home, outside, namespace, libraries)
    if outside:
        administer("create", "namespace", namespace)
    try:
        yield found
    finally:
        # Operator and node first see their runs and pods end.
        if outside:
            administer("delete", "namespace", namespace, f"--timeout={SECONDS:.0f}s")
        found.fabula("down")


def administer(*arguments: str) -> None:
    """Run kubectl as the outside cluster's administrator."""
    subprocess.run(["kubectl", *arguments], check=True, timeout=SECONDS + 60, env={**os.environ, "PATH": PATH})
