"""A training run on two nodes: two launchers that share nothing but the store, and one group of ranks."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.patience import SECONDS
from tests.support.training_dataset import build_model, samples, write_dataset
from tests.support.training_world import EVERY, STEPS, Node, World, wait_for

from fabula_api.summary import TrainSummary
from fabula_api.worker import ExitCode, WorkerResult

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.invariant]

TOPOLOGY = {"nodes": 2, "gpusPerNode": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, training_libraries: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("nodes")
    build_model(folder / "root" / "model")
    write_dataset(folder / "root" / "dataset", samples(12, images=(1, 2)), samples(3, seed=1))
    world = World(folder, training_libraries, {"training": {"gradientAccumulationSteps": 1}})
    yield world
    world.close()


def start(world: World, attempt: int, *outputs: str) -> list[subprocess.Popen[bytes]]:
    """Both nodes of an attempt; `outputs` are the folders that they see."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = [Node(rank, port, output) for rank, output in enumerate(outputs or ("out", "out"))]
    return [world.start("nodes", attempt, node=node, topology=TOPOLOGY) for node in nodes]


def ends(launchers: list[subprocess.Popen[bytes]]) -> list[int]:
    return [launcher.wait(SECONDS) for launcher in launchers]


def word(world: World, node: int) -> Any:
    suffix = "-node-1" if node else ""
    return WorkerResult.model_validate_json((world.folder / f"nodes{suffix}.termination").read_bytes())


def test_two_nodes_killed_stopped_and_apart_go_on_to_the_end(world: World) -> None:
    # A node that dies takes the other along; what its ranks said until the last checkpoint is kept.
    launchers = start(world, 1)
    world.hold(launchers[0], EVERY + 1)
    wait_for(lambda: bool(world.checkpoints("nodes")), launchers[0])
    wait_for((world.output("nodes") / "logs" / "attempt-1" / "rank-1.log").exists, launchers[0])
    launchers[1].kill()
    world.let_go()
    assert ends(launchers) == [1, -signal.SIGKILL]
    assert word(world, 0).failure.reason == "PeerLost"

    # A node that is told to stop has both save at one step.
    launchers = start(world, 2)
    made, said = world.hold(launchers[0], EVERY + 1), world.folder / "nodes-node-1.termination"
    launchers[1].send_signal(signal.SIGTERM)
    wait_for(lambda: said.exists() and said.stat().st_size > 0, launchers[0])  # it has asked its rank by then
    world.let_go()
    assert ends(launchers) == [ExitCode.RETRY, ExitCode.RETRY]
    assert [word(world, node).failure.reason for node in (0, 1)] == ["Interrupted", "Interrupted"]
    saved = max(world.checkpoints("nodes"))
    assert made <= saved <= made + 1
    assert EVERY < saved < STEPS
    assert f"saved step {saved};" in word(world, 1).failure.message

    # Nodes that do not see the same checkpoints would train from different steps.
    assert ends(start(world, 3, "out", "elsewhere")) == [ExitCode.RETRY, ExitCode.RETRY]
    assert word(world, 0).failure.reason == "CheckpointsDiffer"
    assert f"different places: checkpoint-{saved}, no checkpoint" in word(world, 0).failure.message

    assert ends(start(world, 4)) == [0, 0]
    # That undisturbed ranks of one node end here too is held through the operator: tests/e2e/test_training_chaos.py.
    assert TrainSummary.model_validate(word(world, 0).summary.to_wire()).resumed_from_step == saved
    assert [row["step"] for row in world.curve("nodes")] == list(range(1, STEPS + 1))
