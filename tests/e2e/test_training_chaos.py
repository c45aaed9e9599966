"""kill -9 of a training run at named moments, under ZeRO-2 and ZeRO-3: it ends as the undisturbed one, to the bit.

By default a few moments for each stage, many kills in one run; `make soak` goes through all of them, and through random
sequences.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.e2e.conftest import Product
from tests.support.patience import until
from tests.support.training_dataset import build_model, samples, write_dataset
from tests.support.training_kills import MOMENTS, Missed, Scene, attempt_after, strike
from tests.support.training_processes import send, training

SOAK = bool(os.environ.get("FABULA_SOAK"))
pytestmark = [pytest.mark.slow, pytest.mark.torch, *([pytest.mark.timeout(6 * 3600)] if SOAK else [])]
STEPS, EVERY, KEEP = 12, 3, 2
SHORT = {
    2: ("all parts, no manifest", "parts of the final adapter"),
    3: ("half its parts uploaded", "before the termination message"),
}
COMPANION = {
    "half its parts uploaded": "operator",
    "manifest just committed": "control plane",
    "pruning": "operator",
    "parts of the final adapter": "control plane",
}
"""What is killed together with the run's process."""


def run_of(stage: int, namespace: str, **changes: Any) -> list[dict[str, Any]]:
    """A namespace with the run in it; `changes` replace blocks of its spec."""
    spec = {
        "dataset": {"uri": "chaos/dataset"},
        "model": {"uri": "chaos/model"},
        "pixels": {"minPixels": 1024, "maxPixels": 8192},
        "training": {
            "learningRate": 0.01, "maxSteps": STEPS, "perDeviceBatchSize": 1, "gradientAccumulationSteps": 1,
            "precision": "fp32", "loaderWorkers": 0, "maxGradNorm": 1.0,
        },
        "deepspeed": {"stage": stage},
        "topology": {"gpusPerNode": 2, "device": "cpu"},
        "backend": "PyTorchJob",
        "checkpoints": {"everySteps": EVERY, "keep": KEEP},
        "retries": {"failure": 100, "infrastructure": 100},
        # Sums depend on the number of threads, which by default depends on the ranks of a node.
        "template": {"env": {"OMP_NUM_THREADS": "1"}},
    }  # fmt: skip
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "fabula.dev/v1alpha1",
            "kind": "FineTuneRun",
            "metadata": {"name": "tiny", "namespace": namespace},
            "spec": spec | changes,
        },
    ]


class World:
    """The laptop cluster with a dataset and a model in its artifact root."""

    def __init__(self, product: Product, folder: Path) -> None:
        self.product, self._folder = product, folder
        self._ends: dict[int, dict[str, bytes]] = {}
        self.root = Path(unquote(urlsplit(product.parts()["artifactRoot"]).path))

    def apply(self, stage: int, namespace: str, **changes: Any) -> None:
        path = self._folder / f"{namespace}.yaml"
        path.write_text(yaml.safe_dump_all(run_of(stage, namespace, **changes)))
        self.product.kubectl("apply", "-n", namespace, "-f", str(path))

    def status(self, namespace: str) -> dict[str, Any]:
        return dict(self.product.get("-n", namespace, "ftr", "tiny").get("status") or {})

    def finish(self, namespace: str) -> dict[str, Any]:
        """Wait for its end; the status, which must be a success."""
        wait = ("wait", "-n", namespace, "ftr/tiny", "--for=condition=Finished", "--timeout=100s")
        until(lambda: "condition met" in self.product.kubectl(*wait, check=False), f"{namespace} finished")
        found = self.status(namespace)
        assert found["state"] == "Succeeded", json.dumps(found.get("failure"), indent=1)
        return found

    def end(self, namespace: str) -> dict[str, bytes]:
        """What must be the same to the byte: every part of the adapter, and its digest."""
        folder = Path(unquote(urlsplit(self.status(namespace)["adapter"]["uri"]).path))
        manifest = json.loads((folder / "manifest.json").read_text())
        parts = {part["path"]: (folder / part["path"]).read_bytes() for part in manifest["parts"]}
        return parts | {"digest": manifest["digest"].encode()}

    def undisturbed(self, stage: int) -> dict[str, bytes]:
        """The end of a run in peace; made once for each stage."""
        if stage not in self._ends:
            self.apply(stage, f"peace-{stage}")
            self.finish(f"peace-{stage}")
            self._ends[stage] = self.end(f"peace-{stage}")
        return self._ends[stage]

    def kill_part(self, name: str) -> None:
        """Kill the operator or the control plane; its supervisor starts it again."""
        os.kill(self.product.parts()["parts"][name]["pid"], 9)

    def checkpoint_parts(self, stage: int) -> int:
        """Files of one checkpoint, as the undisturbed run made it."""
        manifest = next(self.root.glob(f"peace-{stage}/finetunerun/train/*/checkpoints/step-*/manifest.json"))
        return len(json.loads(manifest.read_text())["parts"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, training_libraries: Path) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FABULA_RETRY_BACKOFF", "0.01")
        patch.setenv("FABULA_PROGRESS_INTERVAL", "0.5")
        folder = tmp_path_factory.mktemp("chaos")
        product = Product(folder / "home", None, "default", training_libraries)
        try:
            code, output = product.fabula("up")
            assert code == 0, output
            world = World(product, folder)
            build_model(world.root / "chaos" / "model")
            write_dataset(world.root / "chaos" / "dataset", samples(9, images=(1, 3, 2)), samples(2, seed=1))
            yield world
        finally:
            product.fabula("down")


def table(attempts: list[dict[str, Any]]) -> None:
    """Show the attempts, for whoever reads the test's output."""
    for one in attempts:
        told = ("number", "state", "reason", "budget", "startedAt", "finishedAt", "resumedFromStep", "lastStep")
        print(*(f"{name}={one.get(name)}" for name in told), one.get("message") or "")


def follow_one_another(attempts: list[dict[str, Any]]) -> None:
    """Attempts are numbered without a gap and never overlap."""
    assert [one["number"] for one in attempts] == list(range(1, len(attempts) + 1))
    for former, after in pairwise(attempts):
        assert former["finishedAt"] <= after["startedAt"], (former, after)


def check_attempts(attempts: list[dict[str, Any]]) -> None:
    """Each says why it ended and what paid for it."""
    follow_one_another(attempts)
    for one in attempts[:-1]:
        assert (one["state"], one["budget"]) == ("Failed", "failure"), one
        assert one["reason"] in ("RankKilled", "Killed"), one


@pytest.mark.parametrize("stage", [2, 3])
def test_killed_at_named_moments_it_ends_as_the_undisturbed_run(world: World, stage: int) -> None:
    expected = world.undisturbed(stage)
    namespace = f"storm-{stage}"
    world.apply(stage, namespace)
    parts, number = world.checkpoint_parts(stage), 0
    killed: list[str] = []
    for name in tuple(MOMENTS) if SOAK else SHORT[stage]:
        for _ in range(4):
            launcher, work = attempt_after(world.root, namespace, "tiny", number)
            number = launcher.attempt
            scene = Scene(launcher, work, parts, EVERY, KEEP)
            try:
                strike(MOMENTS[name], scene)
            except Missed as missed:
                print(f"ZeRO-{stage}: {missed}")
                assert not (scene.output / "manifest.json").exists(), f"the run ended without: {name}"
                continue
            killed.append(name)
            print(f"ZeRO-{stage}, attempt {number}: killed {MOMENTS[name].victim} at: {name}")
            if name in COMPANION:
                world.kill_part(COMPANION[name])
            break
        else:
            pytest.fail(f"four attempts, and none was hit at: {name}")
    status = world.finish(namespace)
    table(status["attempts"])
    assert world.end(namespace) == expected
    assert len(status["attempts"]) >= len(killed) + 1
    check_attempts(status["attempts"])


def test_a_rank_dies_on_one_of_two_nodes_and_they_end_as_one_node_with_as_many_ranks(world: World) -> None:
    expected = world.undisturbed(2)
    namespace = "nodes"
    world.apply(2, namespace, backend="PyTorchJob", topology={"nodes": 2, "gpusPerNode": 1, "device": "cpu"})
    launcher, work = attempt_after(world.root, namespace, "tiny", 0)
    scene = Scene(launcher, work, 0, EVERY, KEEP)
    until(lambda: len(scene.steps()) > EVERY, "steps after the first checkpoint")
    assert len([one for one in training(world.root, namespace) if one.role == "launcher"]) == 2
    send(one for one in training(world.root, namespace) if one.rank == 1)
    status = world.finish(namespace)
    table(status["attempts"])
    check_attempts(status["attempts"])
    assert len(status["attempts"]) == 2
    assert status["attempts"][1]["resumedFromStep"] >= EVERY
    found = world.end(namespace)
    # Their DeepSpeed config differs, for each node has a disk of its own, and with it the digest of the whole.
    for part in ("adapter_model.safetensors", "adapter_config.json", "loss.jsonl"):
        assert found[part] == expected[part], part


class Trouble:
    """What a person, the scheduler or fate does to a run at work; each leaves the run's end alone."""

    def __init__(self, world: World, namespace: str) -> None:
        self._world, self._namespace = world, namespace

    def kubectl(self, *arguments: str) -> str:
        return self._world.product.kubectl("-n", self._namespace, *arguments)

    def patch(self, **spec: Any) -> None:
        self.kubectl("patch", "ftr", "tiny", "--type=merge", "-p", json.dumps({"spec": spec}))

    def attempt(self, number: int) -> dict[str, Any]:
        attempts = self._world.status(self._namespace)["attempts"]
        return dict(next(one for one in attempts if one["number"] == number))

    def pod(self, attempt: int) -> str:
        return self.kubectl("get", "pods", "-l", f"fabula.dev/attempt={attempt}", "-o", "name").split()[0]

    def suspend(self, attempt: int) -> None:
        self.patch(suspend=True)
        until(lambda: not list(training(self._world.root, self._namespace)), "no process of a suspended run")
        until(lambda: self._world.status(self._namespace)["attempts"][-1]["state"] == "Suspended", "suspended")
        self.patch(suspend=False)

    def delete_pod(self, attempt: int) -> None:
        self.kubectl("delete", self.pod(attempt), "--wait=false")

    def preempt(self, attempt: int) -> None:
        pod = self.pod(attempt)
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
        told = json.dumps({"status": {"conditions": [condition]}})
        self.kubectl("patch", pod, "--subresource=status", "--type=strategic", "-p", told)
        self.kubectl("delete", pod, "--wait=false")

    def delete_child(self, attempt: int) -> None:
        self.kubectl("delete", "pytorchjob", "-l", f"fabula.dev/attempt={attempt}", "--wait=false")

    def kill_rank(self, attempt: int) -> None:
        send(one for one in training(self._world.root, self._namespace) if one.rank == 1)

    def kill_launcher(self, attempt: int) -> None:
        send(one for one in training(self._world.root, self._namespace) if one.role == "launcher")

    def kill_operator_and_rank(self, attempt: int) -> None:
        self._world.kill_part("operator")
        self.kill_rank(attempt)

    def edit(self, attempt: int) -> None:
        """What decides the adapter is refused to change; retries and the checkpoints kept may, and disturb nothing."""
        other = json.dumps({"spec": {"training": {"learningRate": 0.02}}})
        refused = self._world.product.kubectl(
            "-n", self._namespace, "patch", "ftr", "tiny", "--type=merge", "-p", other, check=False
        )
        assert "training cannot change once the run has started" in refused
        self.patch(retries={"failure": 90}, checkpoints={"keep": 3})


ENDED_BY: dict[str, set[tuple[str, str | None, str]]] = {
    # (state, budget, reason) of the attempt
    "suspend": {("Suspended", None, "Suspended")},
    "delete_pod": {("Failed", "infrastructure", "PodDeleted")},
    "preempt": {("Failed", "infrastructure", "PreemptionByScheduler")},
    "delete_child": {("Failed", "infrastructure", "ChildDeleted"), ("Failed", "infrastructure", "PodDeleted")},
    "kill_rank": {("Failed", "failure", "RankKilled")},
    "kill_launcher": {("Failed", "failure", "Killed")},
    "kill_operator_and_rank": {("Failed", "failure", "RankKilled")},
    "edit": set(),
}
SAVED_FIRST = ("suspend", "delete_pod", "preempt")
"""These stop the ranks in time to save the step they are at."""


@pytest.mark.skipif(not SOAK, reason="a fast machine may end the run before it is troubled; FABULA_SOAK=1 tries it")
@pytest.mark.parametrize("seed", range(1, 13))
def test_a_random_sequence_ends_as_the_undisturbed_run(world: World, seed: int) -> None:
    source = random.Random(seed)
    stage, namespace = 2 + seed % 2, f"random-{seed}"
    expected = world.undisturbed(stage)
    world.apply(stage, namespace)
    trouble, number = Trouble(world, namespace), 0
    made: list[tuple[str, int, int]] = []
    for name in source.sample(sorted(ENDED_BY), 3):
        launcher, work = attempt_after(world.root, namespace, "tiny", number)
        scene = Scene(launcher, work, 0, EVERY, KEEP)
        steps = source.randint(1, 2)
        until(lambda: len(scene.steps()) >= steps, f"{steps} steps of attempt {launcher.attempt}")  # noqa: B023
        step = scene.steps()[-1]
        getattr(trouble, name)(launcher.attempt)
        if ENDED_BY[name]:
            number = launcher.attempt
            made.append((name, number, step))
    status = world.finish(namespace)
    print(f"seed {seed}, ZeRO-{stage}: {made}")
    attempts = status["attempts"]
    table(attempts)
    assert world.end(namespace) == expected
    follow_one_another(attempts)
    assert len(attempts) == len(made) + 1
    for name, at, step in made:
        ended, after = attempts[at - 1], attempts[at]
        assert (ended["state"], ended.get("budget"), ended["reason"]) in ENDED_BY[name], (name, ended)
        # One that was told to stop after its last step commits the adapter, and the next attempt takes that.
        if name in SAVED_FIRST and not (at == len(made) and status["stages"][-1]["reused"]):
            assert after["resumedFromStep"] >= step, (name, ended, after)
