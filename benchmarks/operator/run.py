"""How the operator does with many runs: a burst, idle, a restart, a takeover, with the raw Job rate of the same server.

    python benchmarks/operator/run.py [--sizes 300,3360,10000] [--idle 65]

Against the cluster that KUBECONFIG names, else against a laptop's API server of its own, which then shares the cores
with the operator and this client. Nothing runs the Jobs, so every run stays unfinished.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.support.laptop import LaptopApi
from tests.support.operator_driver import DATASET_SPEC, install_crds, make_namespace, run_object
from tests.support.operator_process import Certificates, OperatorProcess, certificates

from fabula_operator.kube.client import Api, ApiError
from fabula_operator.kube.resources import JOB, RUNS, Obj

CLIENTS = 8
LIMIT_SECONDS = 900.0
RAW_JOBS = 600
QUIET, MORE = 200, 200
SETTLED_SECONDS = 5.0
"""After the last Job of a burst, in which the operator does what is left to do."""


@dataclass
class Row:
    """One size's figures."""

    size: int
    raw: float = 0.0
    quiet: list[float] = field(default_factory=list)
    """Seconds from a run to its Job, of one after the other."""
    burst: float = 0.0
    cpu_ms: float = 0.0
    """Of the operator for each run, until it has nothing more to do for any."""
    first_of_more: float = 0.0
    """Seconds to the first Job of a second burst, with all the others there."""
    burst_more: float = 0.0
    idle_cpu: float = 0.0
    idle_requests: dict[str, float] = field(default_factory=dict)
    ready: float = 0.0
    ready_cpu: float = 0.0
    """Seconds of CPU of the operator until then."""
    new_after_restart: float = 0.0
    takeover: float = 0.0
    memory_mb: float = 0.0
    memory_restarted_mb: float = 0.0


def job(namespace: str, name: str) -> Obj:
    """A Job that nothing runs."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "worker", "image": "none"}]}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": namespace},
        "spec": {"suspend": True, "template": {"spec": pod}},
    }  # fmt: skip


async def side_by_side(count: int, act: Callable[[int], Awaitable[object]]) -> float:
    """Do something `count` times, some at once; the seconds that took."""
    numbers = iter(range(count))
    begin = time.perf_counter()

    async def client() -> None:
        for number in numbers:
            await act(number)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return time.perf_counter() - begin


async def count(api: Api, namespace: str) -> int:
    """Jobs of a namespace, at the price of one."""
    page = await api.request("GET", JOB.path(namespace), params={"limit": "1"})
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount") or 0)


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> float:
    """Wait for it; the seconds that took."""
    begin = time.perf_counter()
    while not await holds():
        if time.perf_counter() - begin > LIMIT_SECONDS:
            raise TimeoutError(f"not within {LIMIT_SECONDS:.0f} s: {what}")
        await asyncio.sleep(0.02)
    return time.perf_counter() - begin


def cpu_seconds(operator: OperatorProcess) -> float:
    """What the process has used so far."""
    assert operator.process is not None
    fields = Path(f"/proc/{operator.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def most_memory(operator: OperatorProcess) -> float:
    """VmHWM in MB."""
    assert operator.process is not None
    text = Path(f"/proc/{operator.process.pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert match is not None
    return int(match.group(1)) / 1024


def requests(operator: OperatorProcess) -> dict[str, float]:
    """Calls of the API server so far, by verb and resource; those of the lease and watches left out."""
    calls: dict[str, float] = {}
    for labels, value in re.findall(r"^fabula_api_requests_total\{(.*?)\} (\S+)$", operator.metrics(), re.MULTILINE):
        named = dict(re.findall(r'(\w+)="(.*?)"', labels))
        if named["resource"] != "leases":
            what = f"{named['verb']} {named['resource']}"
            calls[what] = calls.get(what, 0.0) + float(value)
    return calls


@asynccontextmanager
async def leading(operator: OperatorProcess) -> AsyncIterator[float]:
    """Run the operator; the seconds until it leads and is ready."""
    with operator:
        yield await until(lambda: asyncio.to_thread(operator.leads), "the operator leads")


async def measure(api: Api, kubeconfig: Path, folder: Path, tls: Certificates, size: int, idle: float) -> Row:
    """All figures for one size."""
    row, namespace = Row(size), await make_namespace(api, f"bench-{size}-{os.getpid()}")
    raw = await make_namespace(api, f"bench-raw-{size}-{os.getpid()}")
    row.raw = RAW_JOBS / await side_by_side(RAW_JOBS, lambda number: api.create(JOB, job(raw, f"raw-{number}")))

    async def create(number: int) -> None:
        # No two are alike, as a sweep's runs are not.
        source = {"uri": f"corpora/part-{number}.jsonl.gz"}
        body = run_object(
            "DatasetBuild", namespace, f"run-{number}".replace("--", "-quiet-"), {**DATASET_SPEC, "source": source}
        )
        await api.request("POST", RUNS["DatasetBuild"].path(namespace), body=body)

    async def made(jobs: int) -> bool:
        return await count(api, namespace) >= jobs

    def operator(name: str) -> OperatorProcess:
        options = ("--namespace", namespace, "--lease-name", f"bench-{size}", "--log-level", "WARNING")
        return OperatorProcess(kubeconfig, folder, tls, f"{name}-{size}", *options)

    first = operator("first")
    async with leading(first):
        for number in range(QUIET):
            begin = time.perf_counter()
            await create(-1 - number)
            while not await made(number + 1):
                pass
            row.quiet.append(time.perf_counter() - begin)
        before, begin = cpu_seconds(first), time.perf_counter()
        await side_by_side(size, create)
        await until(lambda: made(QUIET + size), "a Job for each run")
        row.burst = size / (time.perf_counter() - begin)
        await asyncio.sleep(SETTLED_SECONDS)
        row.cpu_ms = (cpu_seconds(first) - before) / size * 1000
        told, before = requests(first), cpu_seconds(first)
        await asyncio.sleep(idle)
        row.idle_cpu = (cpu_seconds(first) - before) * 60 / idle
        row.idle_requests = {
            what: n - told.get(what, 0) for what, n in requests(first).items() if n > told.get(what, 0)
        }
        begin = time.perf_counter()
        more = asyncio.create_task(side_by_side(MORE, lambda number: create(size + 1 + number)))
        row.first_of_more = await until(lambda: made(QUIET + size + 1), "a first Job of a second burst")
        await more
        await until(lambda: made(QUIET + size + MORE), "a Job for each run of a second burst")
        row.burst_more = MORE / (time.perf_counter() - begin)
        row.memory_mb = most_memory(first)
        first.stop()
    second, third = operator("second"), operator("third")
    async with leading(second) as row.ready:
        row.ready_cpu = cpu_seconds(second)
        await create(size)
        row.new_after_restart = await until(lambda: made(QUIET + size + MORE + 1), "the new run's Job")
        with third:

            async def waits() -> bool:
                return await asyncio.to_thread(third.waits)

            await until(waits, "the third operator waits")
            await asyncio.sleep(3)
            second.kill()
            row.takeover = await until(lambda: asyncio.to_thread(third.leads), "the third operator leads")
            row.memory_restarted_mb = most_memory(third)
            third.stop()
    return row


def _at(seconds: list[float], share: float) -> float:
    """That quantile, in milliseconds."""
    return 1000 * sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    columns: dict[str, Callable[[Row], str]] = {
        "runs": lambda row: str(row.size),
        "raw Jobs/s": lambda row: f"{row.raw:.0f}",
        "one run on a quiet operator, CR to Job, ms (p50, p99)": (
            lambda row: f"{_at(row.quiet, 0.5):.0f}, {_at(row.quiet, 0.99):.0f}"
        ),
        "burst, Jobs/s": lambda row: f"{row.burst:.1f}",
        "CPU ms a run": lambda row: f"{row.cpu_ms:.1f}",
        f"{MORE} more: the first Job after, s": lambda row: f"{row.first_of_more:.2f}",
        "and Jobs/s": lambda row: f"{row.burst_more:.1f}",
        "idle, CPU s a minute": lambda row: f"{row.idle_cpu:.1f}",
        "ready after a restart, s": lambda row: f"{row.ready:.1f}",
        "CPU s of it": lambda row: f"{row.ready_cpu:.1f}",
        "a new run's Job then, s": lambda row: f"{row.new_after_restart:.2f}",
        "takeover from a kill, s": lambda row: f"{row.takeover:.1f}",
        "VmHWM MB, at the end of idle": lambda row: f"{row.memory_mb:.0f}",
        "after a takeover": lambda row: f"{row.memory_restarted_mb:.0f}",
    }
    cells = [list(columns), ["---"] * len(columns), *([show(row) for show in columns.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


async def run(kubeconfig: Path, folder: Path, sizes: list[int], idle: float) -> None:
    """Measure and print."""
    api, tls, rows = Api.connect(kubeconfig), certificates(folder), list[Row]()
    try:
        await install_crds(api)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before", file=sys.stderr)
    for size in sizes:
        rows.append(await measure(api, kubeconfig, folder, tls, size, idle))
        asked = ", ".join(f"{what} {n:.0f}" for what, n in sorted(rows[-1].idle_requests.items()))
        print(f"{size} runs, idle for {idle:.0f} s: {asked or 'no request'}", file=sys.stderr)
        print(table(rows[-1:]), file=sys.stderr, flush=True)
    await api.close()
    print(table(rows))


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="300,3360,10000", help="numbers of runs, each in a namespace of its own")
    parser.add_argument("--idle", type=float, default=65.0, help="seconds to watch an idle operator; a resync is 60")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        # As in an image, where nothing is compiled at a start.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        subprocess.run([sys.executable, "-c", "import fabula_operator.main"], check=True)
        if outside := os.environ.get("KUBECONFIG"):
            asyncio.run(run(Path(outside), folder, sizes, options.idle))
            return
        with LaptopApi(folder / "state") as laptop:
            asyncio.run(run(laptop.kubeconfig, folder, sizes, options.idle))


if __name__ == "__main__":
    main()
