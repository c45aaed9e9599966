"""Training runs as the operator starts them: `fabula-worker train` over a folder with a dataset and a model."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.support import copies
from tests.support.patience import SECONDS, until
from tests.support.training_processes import work_of

from fabula_api.artifact import MANIFEST, Manifest
from fabula_api.worker import CONFIG_VARIABLE, FORK_SERVERS_VARIABLE, TERMINATION_LOG_VARIABLE, WorkerResult

STEPS, EVERY, RANKS = 10, 5, 2


@dataclass(frozen=True)
class Node:
    """One of two nodes, which are both on this machine."""

    rank: int
    port: int
    output: str = "out"
    """Folder of the artifacts, to let a node see other ones."""

    @property
    def environment(self) -> dict[str, str]:
        """What a controller sets."""
        return {
            "PET_NODE_RANK": str(self.rank), "PET_NNODES": "2", "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(self.port), "GLOO_SOCKET_IFNAME": "lo",
        }  # fmt: skip


@dataclass
class World:
    """An artifact root with a dataset and a model, in which runs are started by name."""

    folder: Path
    libraries: Path | None = None
    """Folder of servers that have them loaded; None has each run load them itself."""
    usual: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the spec of every run, blocks as a whole but for `training`, whose fields add to the world's."""
    started: list[copies.Process] = field(default_factory=list)

    def output(self, name: str) -> Path:
        return self.folder / "root" / "out" / name

    def start(
        self, name: str, attempt: int = 1, *, node: Node | None = None, own_libraries: bool = False, **spec: Any
    ) -> copies.Process:
        """Start `fabula-worker train` as the operator would; `node` is its place where the run has several."""
        training = {
            "learningRate": 0.01, "maxSteps": STEPS, "perDeviceBatchSize": 1, "gradientAccumulationSteps": 2,
            "precision": "fp32", "loaderWorkers": 0, "maxGradNorm": 1.0, **self.usual.get("training", {}),
        }  # fmt: skip
        config = {
            "run": {"kind": "FineTuneRun", "namespace": "test", "name": name, "uid": f"uid-{name}"},
            "stage": "train",
            "attempt": attempt,
            "root": f"file://{self.folder}/root",
            "output": f"{node.output if node else 'out'}/{name}",
            "key": "sha256:" + "0" * 64,
            "inputs": [
                {"name": "dataset", "uri": spec.pop("dataset", "dataset"), "digest": "uri:dataset"},
                *({"name": name, "uri": uri, "digest": f"uri:{uri}"} for name, uri in spec.pop("given", {}).items()),
            ],
            "spec": {
                "dataset": {"uri": "dataset"},
                "model": {"uri": "model"},
                "pixels": {"minPixels": 1024, "maxPixels": 8192},
                "topology": {"gpusPerNode": RANKS, "device": "cpu"},
                "checkpoints": {"everySteps": EVERY},
                **self.usual,
                **spec,
                "training": training | spec.get("training", {}),
            },
        }
        environment = os.environ | {
            CONFIG_VARIABLE: json.dumps(config),
            "FABULA_CACHE": str(self.folder / "cache"),
            "TENSORBOARD_LOGGING_DIR": str(self.folder / "board"),
            # A tiny model gains nothing from threads, and on a busy machine they wait for each other, spinning.
            "OMP_NUM_THREADS": "1",
        }
        if self.libraries and not own_libraries:
            environment[FORK_SERVERS_VARIABLE] = str(self.libraries)
        if node is not None:
            environment |= node.environment | {"FABULA_CACHE": str(self.folder / f"cache-{node.rank}")}
        suffix = f"-node-{node.rank}" if node and node.rank else ""
        environment[TERMINATION_LOG_VARIABLE] = str(self.folder / f"{name}{suffix}.termination")
        with (self.folder / f"{name}-{attempt}{suffix}.log").open("wb") as log:
            anew = own_libraries or self.libraries is None
            process = copies.start("fabula_workloads.cli", "train", environment=environment, log=log, anew=anew)
        self.started.append(process)
        return process

    def finish(self, name: str, process: copies.Process) -> tuple[int, WorkerResult]:
        """Exit code and result of a run."""
        code = process.wait(SECONDS)
        return code, WorkerResult.model_validate_json((self.folder / f"{name}.termination").read_bytes())

    def run(self, name: str, attempt: int = 1, **spec: Any) -> tuple[int, WorkerResult]:
        return self.finish(name, self.start(name, attempt, **spec))

    def log(self, name: str, attempt: int = 1) -> str:
        return (self.folder / f"{name}-{attempt}.log").read_text(errors="replace")

    def checkpoints(self, name: str) -> dict[int, Manifest]:
        """Committed checkpoints by step."""
        manifests = (self.output(name) / "checkpoints").glob(f"step-*/{MANIFEST}")
        return {int(file.parent.name[5:]): Manifest.model_validate_json(file.read_text()) for file in sorted(manifests)}

    def curve(self, name: str) -> list[dict[str, Any]]:
        lines = (self.output(name) / "loss.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def board(self, name: str, tag: str) -> list[tuple[int, float]]:
        """What TensorBoard shows of a run."""
        (folder,) = (self.folder / "board").glob(f"test.{name}-*")
        return [(event.step, event.value) for event in EventAccumulator(str(folder)).Reload().Scalars(tag)]

    def hold(self, process: copies.Process, steps: int) -> int:
        """Stop every rank of a run once it has made so many steps, until `let_go`. Returns the step that it is at."""
        wait_for(lambda: len(self.ranks()) == RANKS, process)
        ranks = self.ranks()
        work = work_of(str(ranks[0]))
        assert work is not None

        def step() -> int:
            try:
                lines = (work / "events.jsonl").read_text().split("\n")[:-1]  # the last one may be half written
            except FileNotFoundError:
                return 0
            told = [json.loads(line) for line in lines]
            return max((int(event["metrics"]["step"]) for event in told if event["event"] == "step"), default=0)

        wait_for(lambda: step() >= steps, process, pause_seconds=0.001)
        for rank in ranks.values():
            os.kill(rank, signal.SIGSTOP)
        until(lambda: all(stopped(rank) for rank in ranks.values()), "every thread of the ranks stopped")
        return step()

    def let_go(self) -> None:
        """Have the ranks go on."""
        for rank in self.ranks().values():
            os.kill(rank, signal.SIGCONT)

    def close(self) -> None:
        """End what still runs."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()

    def ranks(self) -> dict[int, int]:
        """Process ids of the running ranks, by rank."""
        ranks = {}
        for process in Path("/proc").iterdir():
            try:
                name = (process / "comm").read_text().strip() if process.name.isdigit() else ""
                log = os.readlink(process / "fd" / "2") if name.startswith("fabula-rank-") else ""
            except OSError:
                continue
            if log.startswith(str(self.folder)):
                ranks[int(name.rpartition("-")[2])] = int(process.name)
        return ranks


def wait_for(condition: Callable[[], bool], process: copies.Process, pause_seconds: float = 0.02) -> None:
    """Wait until it holds. Fails when the process ended first."""

    def holds() -> bool:
        if condition():
            return True
        assert process.poll() is None, f"ended with exit code {process.returncode} before it was time"
        return False

    until(holds, "what a training run should have done", pause_seconds)


def stopped(process: int) -> bool:
    """Whether none of its threads goes on; a signal that stops them takes a moment."""
    threads = Path(f"/proc/{process}/task").glob("*/stat")
    return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in threads)
