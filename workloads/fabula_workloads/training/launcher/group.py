"""The ranks of one node as one thing that is started, asked to stop, and ended: torchrun behind a few verbs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fabula_api.fine_tune_run import FineTuneRunSpec, Topology
from fabula_api.worker import ExitCode
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.training.messages.failure import RankFailure, first_cause, from_exit_code
from fabula_workloads.training.messages.job import JOB_VARIABLE, TrainingJob
from fabula_workloads.training.messages.process import PARENT_VARIABLE, UNMET
from fabula_workloads.training.preloaded.libraries import Libraries

_SHUTDOWN_SECONDS = 2
MEETING_SECONDS = 1800
"""How long nodes wait for each other: one may still be scheduled, or download a model that another has at hand."""
_TAIL_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Node:
    """This pod's place among the nodes of a group."""

    rank: int = 0
    master: str = ""
    port: int = 0

    @classmethod
    def from_environment(cls, topology: Topology, environment: Mapping[str, str]) -> Node:
        """From what a PyTorchJob controller sets. Raises ConfigInvalid naming what is missing."""
        if topology.nodes == 1:
            return cls()
        rank = environment.get("PET_NODE_RANK", environment.get("RANK"))
        master, port = environment.get("MASTER_ADDR"), environment.get("MASTER_PORT")
        missing = [
            name
            for name, value in (("PET_NODE_RANK", rank), ("MASTER_ADDR", master), ("MASTER_PORT", port))
            if not value
        ]
        if rank is None or not master or not port:
            raise ConfigInvalid(
                f"topology.nodes is {topology.nodes}, but {', '.join(missing)} is not set; a PyTorchJob sets it"
            )
        return cls(int(rank), master, int(port))


def torchrun_arguments(
    topology: Topology, node: Node, logs: Path, rank: Sequence[str], meeting_seconds: int = MEETING_SECONDS
) -> list[str]:
    """torchrun's arguments for this node, where `rank` is a rank's command. Ranks never restart alone: the whole group
    does, from a checkpoint."""
    if topology.nodes == 1:
        # Port 0: a free one on loopback, so that two runs on one machine never meet.
        place = [
            "--nnodes=1",
            "--rdzv-backend=c10d",
            "--rdzv-endpoint=127.0.0.1:0",
            f"--rdzv-id={uuid.uuid4().hex}",
            "--local-addr=127.0.0.1",
        ]
    else:
        place = [
            f"--nnodes={topology.nodes}",
            f"--node-rank={node.rank}",
            f"--master-addr={node.master}",
            f"--master-port={node.port}",
            f"--rdzv-conf=timeout={meeting_seconds}",
        ]
    return [
        *place,
        f"--nproc-per-node={topology.gpus_per_node}",
        "--max-restarts=0",
        f"--shutdown-timeout={_SHUTDOWN_SECONDS}",
        f"--log-dir={logs}",
        "--redirects=3",
        "--tee=3",
        "--no-python",
        *rank,
    ]


def rank_environment(spec: FineTuneRunSpec, environment: Mapping[str, str]) -> dict[str, str]:
    """Environment of torchrun and its ranks, but for their job, from this process's own."""
    topology = spec.topology
    # What a controller sets for torchrun is passed as arguments; left in place it would change what a single node does.
    torchrun = ("PET_", "MASTER_")
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(torchrun) and name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    }
    cores = len(os.sched_getaffinity(0))
    kept.setdefault("OMP_NUM_THREADS", str(max(1, cores // topology.gpus_per_node)))
    kept.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's; its threads would not survive the copy of a process
    kept.setdefault("TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE", "[rank${rank}] ")
    kept.setdefault("PYTHONUNBUFFERED", "1")
    if topology.device == "cuda" and "PYTORCH_CUDA_ALLOC_CONF" not in kept:
        # Read when torch is imported. Passes differ in length, and what one leaves in pieces is no room for the next.
        kept.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    if topology.device == "cuda" and spec.training.deterministic:
        # cuBLAS shares its workspace between streams otherwise, and sums in an order that depends on who comes first.
        kept.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if topology.nodes == 1 and topology.device == "cpu":
        kept.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return kept | {PARENT_VARIABLE: str(os.getpid())}


class Group:
    """The running ranks of this node."""

    def __init__(
        self, job: TrainingJob, node: Node, libraries: Libraries, meeting_seconds: int = MEETING_SECONDS
    ) -> None:
        self._job, self._node, self._libraries = job, node, libraries
        topology = job.spec.topology
        self._ranks = range(node.rank * topology.gpus_per_node, (node.rank + 1) * topology.gpus_per_node)
        self._logs = job.work / "torchrun"
        self._verdict = job.work / "verdict.json"
        # A session of its own: a Ctrl-C for the launcher is the launcher's to pass on, at a step boundary.
        rank = libraries.command("rank", "fabula_workloads.training.rank.entry")
        self._process = subprocess.Popen(
            [
                *libraries.command("agent", "fabula_workloads.training.launcher.agent"), str(self._verdict),
                *torchrun_arguments(topology, node, self._logs, rank, meeting_seconds),
            ],
            env=rank_environment(job.spec, os.environ) | {JOB_VARIABLE: str(job.write())},
            start_new_session=True,
        )  # fmt: skip

    def poll(self) -> int | None:
        """Exit code of the group, or None while it runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Have all ranks save at the next step boundary and end."""
        self._job.stop_file.touch()

    def kill(self) -> None:
        """End every rank at once. They die with torchrun: each asked the kernel for it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def first_failure(self) -> RankFailure:
        """Why the group failed: the rank that began it."""
        left = [told for rank in self._ranks if (told := RankFailure.read(self._job.failure_file(rank)))]
        spoken = {failure.rank for failure in left}
        with contextlib.suppress(OSError, ValueError):
            verdict = json.loads(self._verdict.read_text())
            if (unmet := verdict.get(UNMET)) is not None:
                return self._apart(unmet)
            for rank, end in verdict.items():
                if int(rank) not in spoken:
                    left.append(from_exit_code(int(rank), end["exit_code"], end["at"], self._said(int(rank))))
        if not left:
            # All processes of the group end with the one that they are copies of.
            code = self._libraries.end() or self._process.returncode or 1
            return from_exit_code(self._ranks[0], code)
        return first_cause(left)

    def _apart(self, unmet: str) -> RankFailure:
        """The failure of nodes that never met: no rank was started, and nothing is wrong with the run."""
        place = f"{self._node.master}:{self._node.port}"
        message = (
            f"the group's {self._job.spec.topology.nodes} nodes did not meet at {place}: {unmet} A pod of it was not "
            "running in time, or cannot be reached; see the group's pods and their events."
        )
        return RankFailure(self._ranks[0], "NodesApart", message, ExitCode.RETRY, at=time.time())

    def collect_logs(self) -> dict[int, Path]:
        """One file for each rank with the last part of what it said."""
        collected: dict[int, Path] = {}
        for local, rank in enumerate(self._ranks):
            target = self._job.log_file(rank)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                for stream in ("stdout.log", "stderr.log"):
                    for source in sorted(self._logs.glob(f"*/attempt_0/{local}/{stream}")):
                        file.write(_tail(source))
            collected[rank] = target
        return collected

    def _said(self, rank: int) -> str:
        """The last part of what a rank said."""
        sources = self._logs.glob(f"*/attempt_0/{rank - self._ranks[0]}/stderr.log")
        return b"".join(map(_tail, sources)).decode(errors="replace")


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read()
