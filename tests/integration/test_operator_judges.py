"""An evaluation with judges on the laptop's cluster, as kubectl sees it: operator, Jobs and workers as they are, the
providers a stand-in with habits that are known.

The answers are there already, in the folders that the operator will name: what is tried is what follows them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.control_plane import ControlPlane, eventually, running
from tests.support.judge_server import KEY, JudgeServer, run_judges
from tests.support.operator_driver import install_crds, run_object
from tests.support.operator_process import OperatorProcess, account_kubeconfig, certificates
from tests.support.stage_context import stage_context
from tests.support.training_dataset import samples, write_dataset
from tests.support.vist_folder import write_vist

from fabula_api.arms import Arm
from fabula_api.eval_run import EvalRunSpec
from fabula_api.recipes import stages_of
from fabula_api.worker import StageInput
from fabula_cli.cluster import kubectl
from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import POD, RUNS, Obj, Resource
from fabula_operator.plan.stages.key import Work, stage_key
from fabula_workloads.runtime.content import content_digest
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.samples.sample_set import EvaluationSample
from fabula_workloads.stages import select

EVAL = RUNS["EvalRun"]
SECRET = Resource("", "v1", "Secret", "secrets")
SAMPLES = 8
GOOD = [f"The {colour} kite climbs high over the old harbour." for colour in ("red", "blue", "green")]
SAID = {
    "base": [*GOOD[:2], "And so it goes on, day after day, as it always did."],
    "tuned": GOOD,
    "third": [GOOD[0], "Nothing else is said of it."],
}
"""What each arm answers: the tuned one is better than the base, which is longer and better than the third."""


def spec_of(root: Path, endpoint: str) -> dict[str, Any]:
    digest = content_digest(f"file://{root}/model", root)
    arms = [{"name": name, "model": {"uri": "model", "digest": digest}, "gpusPerShard": 0} for name in SAID]
    judges = [
        {"name": "honest", "model": "stand-in.honest", "endpointUrl": endpoint, "shards": 2, "concurrency": 2}
        | {"pairs": "all"},
        {"name": "first", "provider": "openai", "model": "stand-in.first", "endpointUrl": f"{endpoint}/v1"},
        {"name": "longer", "provider": "openai", "model": "stand-in.longer", "endpointUrl": f"{endpoint}/v1"},
    ]
    for judge in judges:
        judge["quota"] = {"requestsPerMinute": 6000, "group": "account"}
    return {
        "samples": {"uri": "vist", "count": SAMPLES},
        "arms": arms,
        "metrics": ["words", "training-overlap"],
        "trainingSet": {"uri": "dataset"},
        "judges": judges,
        "budget": {"usd": 20},
        "prices": {judge["model"]: {"inputPerMillion": 10, "outputPerMillion": 100} for judge in judges},
        "gates": [
            {"metric": f"judge/{judge['name']}", "arm": "tuned", "versus": "base", "min": 0.4} for judge in judges
        ],
        "secretRef": {"name": "judges"},
    }  # fmt: skip


def write_answers(root: Path, wire: dict[str, Any]) -> None:
    """Answers of both arms, where the operator will look for them."""
    chosen = select.run(stage_context(root, "EvalRun", "select", wire, "chosen"))
    assert chosen.artifact is not None
    samples = [line for line in open_store(chosen.uri or "").read("samples.jsonl").splitlines() if line]
    spec = EvalRunSpec.model_validate(wire)
    stage = next(one for one in stages_of("podcast", "EvalRun") or () if one.name == "infer")
    for arm in spec.arms:
        key = key_of(stage, spec, arm, chosen.artifact.digest, root)
        ledger = Ledger(open_store(f"file://{root}/default/evalrun/infer-{arm.name}/{key}"))
        text = "\n".join(f"Speaker {1 + place % 2}: {one}" for place, one in enumerate(SAID[arm.name]))
        for line in samples:
            name = EvaluationSample.model_validate_json(line).id
            ledger.put(f"{name}-0", {"outcome": "ok", "text": text, "tokens": 9, "seconds": 1, "finish": "stop"})


def key_of(stage: Any, spec: EvalRunSpec, arm: Arm, chosen: str, root: Path) -> str:
    assert arm.model.digest is not None
    inputs = [
        StageInput(name="select", uri="x", digest=chosen),
        StageInput(name="model", uri="x", digest=arm.model.digest),
    ]
    return stage_key(Work(stage, spec, arm, tuple(inputs), f"file://{root}")).removeprefix("sha256:")[:16]


async def test_judges_are_killed_and_no_verdict_is_paid_twice(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    root = tmp_path / "artifacts"
    (root / "model").mkdir(parents=True)
    (root / "model" / "config.json").write_text("{}")
    write_vist(root / "vist", SAMPLES)
    with (
        # Pods of their own processes: a copy outlives for a moment the process that is killed in its place.
        ControlPlane(tmp_path / "cluster") as cluster,
        run_judges(JudgeServer(frozenset(GOOD), key=KEY)) as server,
    ):
        wire = spec_of(root, server.endpoint)
        write_answers(root, wire)
        # The last of the tuned arm's sentences was learned by heart.
        write_dataset(root / "dataset", [*samples(3), {**samples(1, seed=9)[0], "response": f"Speaker 1: {GOOD[2]}"}])
        api = Api.connect(cluster.kubeconfig)
        await install_crds(api)
        account = await account_kubeconfig(api, cluster.kubeconfig, tmp_path / "operator.kubeconfig")
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "judges", "namespace": "default"}}
        keys = {"OPENAI_API_KEY": KEY, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
                "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip
        await api.request("POST", SECRET.path("default"), body={**secret, "stringData": keys})
        options = ("--worker-metrics-port", "0", "--progress-interval", "0.5", "--identity", "one")
        operator = OperatorProcess(account, tmp_path, certificates(tmp_path), "one", *options)
        server.refuses_after = 20
        definition = tmp_path / "judged.yaml"
        definition.write_text(json.dumps(run_object("EvalRun", "default", "judged", wire)))
        applied = kubectl(cluster.kubeconfig, "apply", "-f", str(definition))
        assert applied.returncode == 0, applied.stderr
        with operator:

            async def pods() -> list[Obj]:
                return await api.list(POD, "default", "fabula.dev/stage=judge")

            async def stuck() -> list[int]:
                # A reply that is on its way when its worker dies is lost, and would be paid for again.
                kept = len(list(root.glob("default/evalrun/judge-*/*/calls/items/*/*.json")))
                return running(await pods()) if server.paid == kept == 20 else []

            for pid in await eventually(stuck, "twenty verdicts"):
                with suppress(ProcessLookupError):  # the processes of a pod end with any of them
                    os.kill(pid, signal.SIGKILL)

            async def nobody_asks() -> bool:
                # What the dead had sent is turned away before anything is answered again.
                return server.connections == 0

            await eventually(nobody_asks, "closed connections")
            server.refuses_after = None

            async def over() -> Obj | None:
                run = await api.get(EVAL, "default", "judged")
                status: Obj = (run or {}).get("status") or {}
                return status if status.get("state") in ("Succeeded", "Failed") else None

            await eventually(over, "the end")
            shown = kubectl(cluster.kubeconfig, "get", "evr", "judged", "-o", "json")
            status: Obj = json.loads(shown.stdout)["status"]
            operator.stop()
        assert status["state"] == "Succeeded", status.get("failure")
        assert set(server.bodies.values()) == {1}
        planned = {
            "honest": SAMPLES * 3 * 2 + 6 * 4,
            "first": SAMPLES * 2 * 2 + 6 * 4,
            "longer": SAMPLES * 2 * 2 + 6 * 4,
        }
        judges = {one["name"]: one for one in status["judges"]}
        assert {name: (one["planned"], one["calls"]) for name, one in judges.items()} == {
            name: (calls, calls) for name, calls in planned.items()
        }
        assert server.paid == sum(planned.values())
        assert status["costUsd"] == sum(bill["costUsd"] for bill in status["bills"]) > 0
        # Known habits are found out and named, and no gate rests on who has them, whatever the figure is.
        assert {name: one["trusted"] for name, one in judges.items()} == {
            "honest": True,
            "first": False,
            "longer": False,
        }
        assert (judges["first"]["first"], judges["first"]["consistent"]) == (1, 0)
        told = {one["type"]: one for one in status["conditions"]}
        assert told["JudgesTrusted"]["status"] == "False"
        assert "judge first: it takes the first answer" in told["JudgesTrusted"]["message"]
        assert "judge longer: it takes the longer answer" in told["JudgesTrusted"]["message"]
        assert [(gate["passed"], gate.get("reason", "")[:60]) for gate in status["gates"]] == [
            (True, ""),
            (False, "judge first failed its self-test: it takes the first answer "),
            (False, "judge longer failed its self-test: it takes the longer answe"),
        ]
        # Each with each, and how strong that makes them.
        pairs = {(one["arm"], one["versus"]): one["winRate"] for one in judges["honest"]["pairs"]}
        assert sorted(map(sorted, pairs)) == [["base", "third"], ["base", "tuned"], ["third", "tuned"]]
        assert pairs["tuned", "base"] == 1
        strength = {one["arm"]: one["strength"] for one in judges["honest"]["arms"]}
        assert strength["tuned"] > strength["base"] > strength["third"]
        # What was learned by heart is one sentence in three of the tuned arm, and none of the others.
        overlap = {
            arm["name"]: metric["mean"]
            for arm in status["arms"]
            for metric in arm["metrics"]
            if metric["name"] == "training-overlap"
        }
        assert overlap == {"base": 0, "tuned": pytest.approx(1 / 3, abs=1e-3), "third": 0}
        await api.close()
