"""What bad input gets: a dozen training runs that cannot work, applied at once, each refused in words that help."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Environment
from fabula_workloads.runtime.content import content_digest
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.training.saving.checkpoints import Checkpoints
from tests.e2e.conftest import Product
from tests.support.observations import NOW, launches, observed
from tests.support.patience import SECONDS, until
from tests.support.training_dataset import build_model, samples, write_dataset

pytestmark = [pytest.mark.slow, pytest.mark.torch]
LARGE = {"name": "Qwen/Qwen3-VL-235B-A22B-Instruct"}
A100 = {"gpusPerNode": 8, "product": "NVIDIA-A100-SXM4-80GB", "device": "cuda"}


COMMIT = "1" * 40
KNOWN = json.dumps({"id": "some/llama", "sha": COMMIT}).encode()
LLAMA = json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64}).encode()


FILES = {"/api/models/some/llama": KNOWN, f"/some/llama/resolve/{COMMIT}/config.json": LLAMA}


class Hub(BaseHTTPRequestHandler):
    """A Hugging Face Hub that has one repository, of a model that is not trained here, and tells what it was asked."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """The repository's commit and its one config.json; all else is unknown."""
        self.asked.append(self.path)
        if (found := FILES.get(self.path)) is not None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("ETag", '"1"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found if self.command == "GET" else b"")
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def spec(**changes: Any) -> dict[str, Any]:
    """A small run that would work, but for the changes."""
    return {
        "dataset": {"uri": "data/good"},
        "model": {"uri": "models/good"},
        "topology": {"gpusPerNode": 2, "device": "cpu"},
        "training": {"maxSteps": 2, "precision": "fp32", "loaderWorkers": 0},
        "lora": {"targetModules": ["q_proj"]},
        **changes,
    }


def bad_runs(hub: str, used: dict[str, Any]) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """By name: the spec, and words of what its status must say."""
    return {
        "unknown-model": (
            spec(model={"uri": "models/none"}),
            ["InputInvalid", "model.uri: there is no model folder at"],
        ),
        "not-on-the-hub": (
            spec(model={"name": "nobody/nothing"}, template={"env": {"HF_ENDPOINT": hub, "NO_PROXY": "127.0.0.1"}}),
            ["InputInvalid", "model: nobody/nothing is not on the Hub, or HF_TOKEN may not see it"],
        ),
        "other-architecture-on-the-hub": (
            spec(model={"name": "some/llama"}, template={"env": {"HF_ENDPOINT": hub, "NO_PROXY": "127.0.0.1"}}),
            ["InputInvalid", "model: some/llama is a llama (LlamaForCausalLM); this worker trains qwen3_vl"],
        ),
        "other-architecture": (
            spec(model={"uri": "models/llama"}),
            ["InputInvalid", "is a llama (LlamaForCausalLM); this worker trains qwen3_vl"],
        ),
        "damaged-model": (
            spec(model={"uri": "models/cut"}),
            ["InputInvalid", "model.safetensors: it has", "fetch it again"],
        ),
        "wrong-module": (
            spec(lora={"targetModules": ["q_proj", "query"]}),
            [
                "ConfigInvalid",
                "lora.targetModules: query is no linear layer of models/good; it has down_proj, gate_proj",
            ],
        ),
        "wrong-module-of-a-known-model": (
            spec(model={"name": "Qwen/Qwen3-VL-32B-Instruct"}, lora={"targetModules": ["query"]}, topology=A100),
            ["UnknownTargetModule", "query is no linear layer of Qwen3-VL-32B; it has"],
        ),
        "other-recipe": (
            spec(dataset={"uri": "data/other"}),
            ["InputInvalid", "data/other is a dataset of recipe 'another', but the run's recipe is 'podcast'"],
        ),
        "build-of-another-recipe": (
            spec(dataset={"ref": "another"}),
            ["WrongRecipe", "spec.dataset.ref: DatasetBuild another builds for recipe another"],
        ),
        "empty-split": (
            spec(dataset={"uri": "data/empty"}),
            ["InputInvalid", "data/empty has an empty training split"],
        ),
        "batch-too-large": (
            spec(topology={"gpusPerNode": 8, "device": "cpu"}),
            [
                "InputInvalid",
                "a pass takes 8 ranks x 1 = 8 samples, but the training split gives 6; use at most 6 ranks",
            ],
        ),
        "checkpoint-of-another-base": (
            used,
            ["InputInvalid", "is of a base model whose config.json is sha256:0", "give the run another output.uri"],
        ),
        "does-not-fit": (
            spec(model=LARGE, lora={}, training={}, topology=A100, deepspeed={"stage": 2}),
            ["DoesNotFit", "440.7 GiB", "NVIDIA-A100-SXM4-80GB has 80.0 GiB", "deepspeed.stage 3 needs 61.0 GiB"],
        ),
    }


def prepare(root: Path) -> dict[str, Any]:
    """Models and datasets, and a checkpoint of another base where a run would go on from it: that run's spec."""
    model = build_model(root / "models" / "good")
    for name in ("cut", "llama"):
        shutil.copytree(model, root / "models" / name)
    weights = root / "models/cut/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    config = json.loads((model / "config.json").read_text())
    llama = config | {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    (root / "models/llama/config.json").write_text(json.dumps(llama))
    good = write_dataset(root / "data/good", samples(6))
    write_dataset(root / "data/empty", [], samples(2))
    write_dataset(root / "data/other", samples(6), recipe="another")

    # With digests in the spec nothing has to be looked up, so that the folder is known here.
    used = spec(
        output={"uri": "out/used"},
        dataset={"uri": "data/good", "digest": good.digest},
        model={"uri": "models/good", "digest": content_digest(f"file://{model}", root / "digests")},
    )
    seen = observed("FineTuneRun", used, environment=Environment(f"file://{root}", True))
    (launch,) = launches(plan(seen, NOW))
    saved = root / "saved"
    saved.mkdir()
    (saved / "trainer_state.json").write_text("{}")
    details = {"base": {"digest": "sha256:" + "0" * 64}}
    Checkpoints(open_store(f"{launch.output}/checkpoints"), 1).save(1, saved, details=details)
    return used


def test_each_bad_run_is_refused_with_the_field_and_what_would_work(warm_product: Product, hub: str) -> None:
    product = warm_product
    code, output = product.fabula("up")
    assert code == 0, output
    runs = bad_runs(hub, prepare(product.home / "artifacts"))
    objects = [
        {"apiVersion": "fabula.dev/v1alpha1", "kind": "FineTuneRun", "metadata": {"name": name}, "spec": wanted}
        for name, (wanted, _) in runs.items()
    ]
    build = {"recipe": "another", "parameters": {"source": {"uri": "none.jsonl"}}}
    objects.insert(0, {**objects[0], "kind": "DatasetBuild", "metadata": {"name": "another"}, "spec": build})
    file = product.home / "runs.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    product.kubectl("apply", "-f", str(file))
    product.kubectl("wait", "--for=condition=Finished", "ftr", "--all", f"--timeout={SECONDS:.0f}s")
    statuses = {run["metadata"]["name"]: run["status"] for run in product.items("ftr")}
    for name, (_, words) in runs.items():
        status = statuses[name]
        told = {one["type"]: one for one in status["conditions"]}
        assert (status["state"], told["Failed"]["status"]) == ("Failed", "True"), name
        for word in words:
            assert word in f"{status['reason']}: {told['Failed']['message']}", name
        # Bad input is never tried again.
        assert len(status.get("attempts", [])) <= 1, (name, [one["reason"] for one in status["attempts"]])
    # Those that no GPU was asked for: found out from the spec, or by the look at what the spec names.
    refused = {name for name, status in statuses.items() if not status.get("attempts")}
    by_spec = {"wrong-module-of-a-known-model", "build-of-another-recipe", "does-not-fit"}
    assert refused == by_spec | {"unknown-model", "not-on-the-hub"}
    # Nothing but its commit and its config was asked for: no weights are downloaded to be refused.
    assert {path for path in Hub.asked if "llama" in path} == set(FILES)
    assert "DoesNotFit" in product.kubectl("get", "ftr", "does-not-fit")
    assert "440.7 GiB" in product.kubectl("describe", "ftr", "does-not-fit")
    until(lambda: not [pod for pod in product.items("pods") if pod["status"]["phase"] == "Running"], "no pod left")
