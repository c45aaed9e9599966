"""How torchrun is called on one node and on several, and what its ranks see of the pod's environment."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from tests.support.patience import until

from fabula_api.fine_tune_run import FineTuneRunSpec, Topology
from fabula_api.worker import ExitCode
from fabula_workloads.runtime.failures import ConfigInvalid, Crashed
from fabula_workloads.training.launcher.group import Group, Node, rank_environment, torchrun_arguments
from fabula_workloads.training.launcher.tuned_artifact import loss_curve
from fabula_workloads.training.messages.events import EventReader, EventWriter, Finished, StepMade, TrainerLog
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.preloaded.libraries import Libraries


class Unshared(Libraries):
    """Of which every process loads its own; torchrun's agent by itself needs few."""

    def command(self, name: str, module: str) -> list[str]:
        return [sys.executable, "-m", module]


TWO_NODES = Topology(nodes=2, gpus_per_node=8)
CPU = Topology(gpus_per_node=1, device="cpu")
CONTROLLER = {"PET_NODE_RANK": "1", "MASTER_ADDR": "run-master-0", "MASTER_PORT": "23456"}


def on(topology: Topology, **training: object) -> FineTuneRunSpec:
    """A run with that topology."""
    wire = {"dataset": {"uri": "d"}, "model": {"name": "m"}, "training": training}
    return FineTuneRunSpec.model_validate(wire | {"topology": topology.model_dump(by_alias=True)})


def test_one_node_meets_on_loopback_at_a_free_port(tmp_path: Path) -> None:
    arguments = torchrun_arguments(Topology(gpus_per_node=2), Node(), tmp_path, ["rank"])
    assert {"--rdzv-endpoint=127.0.0.1:0", "--nnodes=1", "--nproc-per-node=2", "--max-restarts=0"} <= set(arguments)
    assert arguments[-2:] == ["--no-python", "rank"]


def test_two_runs_on_one_machine_never_meet(tmp_path: Path) -> None:
    topology = Topology(gpus_per_node=2)
    one, other = (torchrun_arguments(topology, Node(), tmp_path, ["rank"]) for _ in range(2))
    assert one != other


def test_several_nodes_meet_where_the_controller_says(tmp_path: Path) -> None:
    node = Node.from_environment(TWO_NODES, CONTROLLER)
    arguments = torchrun_arguments(TWO_NODES, node, tmp_path, ["rank"])
    assert {"--nnodes=2", "--node-rank=1", "--master-addr=run-master-0", "--master-port=23456"} <= set(arguments)


@pytest.mark.torch
@pytest.mark.parametrize("rank", [0, 1])
def test_a_node_whose_others_do_not_come_says_so_and_is_tried_again(tmp_path: Path, rank: int) -> None:
    """No rank was started, so none is blamed, and the budget of failures pays for nothing."""
    spec = FineTuneRunSpec.model_validate(
        {"dataset": {"uri": "d"}, "model": {"name": "m"}, "topology": {"nodes": 2, "gpusPerNode": 1, "device": "cpu"}}
    )
    job = TrainingJob(spec=spec, dataset=tmp_path, model=tmp_path, base_name="m", deepspeed={}, work=tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        node = Node(rank, "127.0.0.1", free.getsockname()[1])
    group = Group(job, node, Unshared(tmp_path), meeting_seconds=1)
    until(lambda: group.poll() is not None, "the group's end")
    failure = group.first_failure()
    assert (failure.reason, failure.exit_code) == ("NodesApart", ExitCode.RETRY)
    assert failure.message.startswith(f"the group's 2 nodes did not meet at 127.0.0.1:{node.port}: ")


def test_a_group_without_a_meeting_point_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match=r"topology\.nodes is 2, but MASTER_ADDR, MASTER_PORT is not set"):
        Node.from_environment(TWO_NODES, {"PET_NODE_RANK": "0"})


def test_a_single_node_ignores_what_the_controller_sets() -> None:
    topology = Topology(gpus_per_node=2, device="cpu")
    assert Node.from_environment(topology, CONTROLLER) == Node()
    seen = rank_environment(on(topology), CONTROLLER | {"RANK": "0", "WORLD_SIZE": "1", "HOME": "h"})
    assert not {"PET_NODE_RANK", "MASTER_ADDR", "RANK", "WORLD_SIZE"} & set(seen)
    assert (seen["HOME"], seen["GLOO_SOCKET_IFNAME"]) == ("h", "lo")


def test_ranks_on_gpus_take_memory_that_can_grow_unless_the_user_says_otherwise() -> None:
    seen = rank_environment(on(Topology()), {})
    assert seen["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"
    assert "CUBLAS_WORKSPACE_CONFIG" not in seen
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        own = rank_environment(on(Topology()), {name: "max_split_size_mb:512"})
        assert {key: value for key, value in own.items() if key.startswith("PYTORCH")} == {
            name: "max_split_size_mb:512"
        }
    exact = rank_environment(on(Topology(), deterministic=True), {})
    assert exact["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not any("CUBLAS" in name or "PYTORCH_" in name for name in rank_environment(on(CPU), {}))


def test_threads_are_shared_unless_the_user_says_otherwise() -> None:
    crowded = on(Topology(gpus_per_node=64, device="cpu"))
    assert rank_environment(crowded, {})["OMP_NUM_THREADS"] == "1"
    assert rank_environment(crowded, {"OMP_NUM_THREADS": "7"})["OMP_NUM_THREADS"] == "7"


def test_an_event_half_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert reader.poll() == []
    EventWriter(path).emit(StepMade(metrics={"step": 1}))
    with path.open("a") as file:
        file.write('{"event": "fin')
        file.flush()
        assert reader.poll() == [StepMade(metrics={"step": 1})]
        assert reader.poll() == []
        file.write('ished", "step": 1}\n')
    assert reader.poll() == [Finished(step=1)]


@pytest.mark.parametrize("line", ['{"event": "step"}', '{"event": "gone", "step": 1}', "[]", "step 3"])
def test_what_is_no_event_ends_the_attempt_with_a_word(tmp_path: Path, line: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(Crashed, match="no event") as raised:
        EventReader(path).poll()
    assert raised.value.reason == "EventUnreadable"


def test_the_loss_curve_has_a_row_a_step_with_the_validation_loss_beside_it() -> None:
    history = [
        {"step": 1, "loss": 7.5, "grad_norm": 3.0, "learning_rate": 0.0, "epoch": 0.5},
        {"step": 2, "loss": 7.0, "grad_norm": 2.0, "learning_rate": 0.1, "epoch": 1.0},
        {"step": 2, "eval_loss": 6.5, "eval_runtime": 1.0, "epoch": 1.0},
        {"step": 2, "train_runtime": 3.0},
    ]
    assert loss_curve([TrainerLog.model_validate(entry) for entry in history]) == [
        {"step": 1, "loss": 7.5, "gradNorm": 3.0, "learningRate": 0.0, "epoch": 0.5},
        {"step": 2, "loss": 7.0, "gradNorm": 2.0, "learningRate": 0.1, "epoch": 1.0, "validationLoss": 6.5},
    ]
