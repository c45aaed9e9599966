"""What each part's Kubernetes client costs: memory after its imports, CPU of them, and CPU and rate of small GETs.

    python benchmarks/operator/client.py [--beside before=CHECKOUT[:FOLDER...]] [--rounds 3] [--requests 2000]

`--beside` measures another checkout in the same run, by turns with this one: of a busy machine only the ratios are
worth anything. Folders behind it come first on its path, such as one with libraries that only it needs.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

HERE = Path(__file__).resolve().parents[2]
PACKAGES = ("crds", "kube", "operator", "workloads", "localcluster", "quickstart")
PATH = "/api/v1/namespaces/default/configmaps/small"
BODY = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "small", "namespace": "default", "resourceVersion": "1", "uid": "0" * 36},
        "data": {f"key-{number}": "x" * 40 for number in range(20)},
    }
).encode()
CLIENTS, COUNTED = 8, 400
IMPORTS = {
    "operator": ("fabula_operator.main",),
    "laptop's node": ("fabula_local.process_node",),
    "laptop's cluster": ("fabula_local.controlplane",),
    "fabula status": ("fabula_cli.main", "fabula_cli.commands.status"),
}
"""What a process of each part has loaded when it begins."""
CALLING = ("operator", "laptop's node")
"""Parts whose client is asked for objects."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One process's figures."""

    memory_mb: float
    """Resident after imports."""
    import_seconds: float
    """CPU of them, with the interpreter's start."""
    request_us: float | None = None
    """CPU of a request in the calling process."""
    rate: float | None = None
    """Requests a second, some at once."""
    calls: float | None = None
    """Calls of functions for a request, which no neighbour on the machine changes."""


class Server(asyncio.Protocol):
    """Answers each request of a kept connection with one small object, at as little cost as can be."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._rest = cast("asyncio.WriteTransport", transport), b""

    def data_received(self, data: bytes) -> None:
        *asked, self._rest = (self._rest + data).split(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        self._transport.write((head + BODY) * len(asked))


async def serve() -> None:
    """Tell the port in a line, and answer until killed."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def kubeconfig(folder: Path, port: int) -> Path:
    """Of a user with a token, as a pod is one."""
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "small",
        "clusters": [{"name": "small", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "small", "user": {"token": "none"}}],
        "contexts": [{"name": "small", "context": {"cluster": "small", "user": "small", "namespace": "default"}}],
    }  # fmt: skip
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    return path


def cpu_seconds() -> float:
    """Of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_mb() -> float:
    """Resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def side_by_side(request: Callable[[str, str], Awaitable[object]], count: int) -> None:
    """Make so many requests, some at once."""
    numbers = iter(range(count))

    async def client() -> None:
        for _ in numbers:
            await request("GET", PATH)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def ask(part: str, config: Path, count: int) -> tuple[float, float, float]:
    """(CPU of a request in microseconds, requests a second) of so many, and calls of functions for one."""
    if part == "operator":
        api = import_module("fabula_operator.kube.client").Api.connect(config)
    else:
        api = import_module("fabula_local.client").Api.from_kubeconfig(config)
    request: Callable[[str, str], Awaitable[object]] = api.request
    try:
        await asyncio.gather(*(request("GET", PATH) for _ in range(CLIENTS)))  # connections
        used, began = cpu_seconds(), time.perf_counter()
        await side_by_side(request, count)
        spent, rate = (cpu_seconds() - used) / count * 1e6, count / (time.perf_counter() - began)
        profile = cProfile.Profile()
        with profile:
            await side_by_side(request, COUNTED)
        return spent, rate, sum(entry.callcount for entry in profile.getstats()) / COUNTED
    finally:
        await api.close()


def measure(part: str, config: Path, count: int) -> Cost:
    """This process's figures as that part. It has to be a new one."""
    for name in IMPORTS[part]:
        import_module(name)
    gc.collect()
    memory, imported = memory_mb(), cpu_seconds()
    if part not in CALLING:
        return Cost(memory, imported)
    uvloop = import_module("uvloop")
    return Cost(memory, imported, *uvloop.run(ask(part, config, count)))


@contextmanager
def server(folder: Path) -> Iterator[Path]:
    """A kubeconfig of a server in a process of its own."""
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield kubeconfig(folder, int(process.stdout.readline()))
        finally:
            process.terminate()


def measure_apart(part: str, path: Sequence[str], config: Path, count: int) -> Cost:
    """The part's figures, measured in a process with that path."""
    command = [sys.executable, __file__, "--part", part, "--kubeconfig", str(config), "--requests", str(count)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return Cost(**json.loads(done.stdout))


def cells(costs: Sequence[Cost]) -> list[str]:
    """The best of each figure, for what others took of the cores makes them only worse, and the median in brackets."""
    rows = [(f"{min(c.memory_mb for c in costs):.0f}"), f"{min(c.import_seconds for c in costs):.2f}"]
    spent = [c.request_us for c in costs if c.request_us is not None]
    rates = [c.rate for c in costs if c.rate is not None]
    rows.append(f"{min(spent):.0f} ({statistics.median(spent):.0f})" if spent else "")
    rows.append(f"{max(rates):.0f} ({statistics.median(rates):.0f})" if rates else "")
    rows.append(f"{costs[0].calls:.0f}" if costs[0].calls is not None else "")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", action="append", default=[], metavar="NAME=CHECKOUT[:FOLDER...]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--part", choices=IMPORTS, help=argparse.SUPPRESS)
    parser.add_argument("--kubeconfig", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        import_module("uvloop").run(serve())
        return
    if chosen.part:
        print(json.dumps(asdict(measure(chosen.part, chosen.kubeconfig, chosen.requests))))
        return
    paths: dict[str, list[str]] = {}
    for named in chosen.beside:
        name, _, places = named.partition("=")
        checkout, *more = places.split(os.pathsep)
        paths[name] = [*more, *(str(Path(checkout).resolve() / package) for package in PACKAGES)]
    paths["now"] = [str(HERE / package) for package in PACKAGES]
    measured: dict[tuple[str, str], list[Cost]] = {}
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as config:
        for _, part, name in itertools.product(range(chosen.rounds), IMPORTS, paths):
            measured.setdefault((part, name), []).append(measure_apart(part, paths[name], config, chosen.requests))
    print(f"load average {os.getloadavg()[0]:.1f} at the end")
    titles = ("", "MB after imports", "CPU s of start", "CPU us of a request", "requests/s", "calls of a request")
    print(f"| {' | '.join(titles)} |")
    print("|---" * len(titles) + "|")
    for (part, name), costs in measured.items():
        print(f"| {part}, {name} | {' | '.join(cells(costs))} |")


if __name__ == "__main__":
    main()
