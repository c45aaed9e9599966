"""Manifests against golden files. FABULA_REWRITE_GOLDENS=1 writes them anew; read the difference before a commit."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.launches import CASES, SETTINGS, launch_of, templates
from tests.support.operator_driver import MODEL_DIGEST

from fabula_api.worker import CONFIG_VARIABLE, StageInput, WorkerConfig
from fabula_operator.render import manifest, ranks_service, status_ca
from fabula_operator.render.names import QUEUE
from fabula_operator.render.ranks_service import service_name
from fabula_operator.render.worker_defaults import ModelCache, WorkerDefaults

GOLDEN = Path(__file__).parent / "golden"


class Plain(yaml.SafeDumper):
    """Without anchors, so that each template can be read where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.mark.parametrize("name", CASES)
def test_the_manifest_is_as_it_was(name: str) -> None:
    made = without_key(manifest(CASES[name], SETTINGS), CASES[name].key.removeprefix("sha256:"))
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("FABULA_REWRITE_GOLDENS"):
        path.write_text(yaml.dump(made, Dumper=Plain, sort_keys=False, width=120))
    assert made == yaml.safe_load(path.read_text())


def without_key(value: Any, key: str) -> Any:
    """The manifest with the stage key blanked and the config left out: both change with every field of the API.

    What the config says is checked by reading it back, and keys by the tests of plans.
    """
    if isinstance(value, dict):
        if value.get("name") == CONFIG_VARIABLE:
            return {**value, "value": "CONFIG"}
        return {name: without_key(one, key) for name, one in value.items()}
    if isinstance(value, list):
        return [without_key(one, key) for one in value]
    return re.sub(f"{key}|{key[:16]}|{key[:8]}", "KEY", value) if isinstance(value, str) else value


@pytest.mark.parametrize("name", CASES)
def test_every_pod_keeps_the_restricted_security_standard(name: str) -> None:
    for template in templates(manifest(CASES[name], SETTINGS)):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }


@pytest.mark.parametrize("name", CASES)
def test_the_worker_can_read_what_it_is_told(name: str) -> None:
    launch = CASES[name]
    for template in templates(manifest(launch, SETTINGS)):
        environment = {one["name"]: one.get("value", "") for one in template["spec"]["containers"][0]["env"]}
        config = WorkerConfig.model_validate_json(environment[CONFIG_VARIABLE])
        assert (config.stage, config.key, config.output) == (launch.stage, launch.key, launch.output)
        assert config.spec == launch.spec
        json.loads(environment[CONFIG_VARIABLE])


def test_ranks_on_a_job_find_each_other_by_the_service_of_their_run() -> None:
    launch = CASES["job-train-two-nodes"]
    service, (template,) = ranks_service(launch), templates(manifest(launch, SETTINGS))
    name = service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert template["spec"]["subdomain"] == name
    environment = {one["name"]: one for one in template["spec"]["containers"][0]["env"]}
    assert environment["MASTER_ADDR"]["value"] == f"{launch.child}-0.{name}"
    assert environment["PET_NODE_RANK"]["valueFrom"]["fieldRef"]["fieldPath"].endswith("job-completion-index']")
    # The same for every attempt, and a valid name for a Service whatever the run is called.
    assert ranks_service(replace(launch, attempt=9))["metadata"]["name"] == name
    odd = replace(launch, run=replace(launch.run, name="9.long-" + "x" * 200))
    assert re.fullmatch(r"[a-z][-a-z0-9]{0,61}[a-z0-9]", service_name(odd))


@pytest.mark.parametrize(
    ("queue", "domain", "annotation", "affinity"),
    [
        ("gpus", "requiredDomain", "kueue.x-k8s.io/podset-required-topology", None),
        ("gpus", "preferredDomain", "kueue.x-k8s.io/podset-preferred-topology", None),
        (None, "requiredDomain", None, "requiredDuringSchedulingIgnoredDuringExecution"),
        (None, "preferredDomain", None, "preferredDuringSchedulingIgnoredDuringExecution"),
        (None, None, None, None),
    ],
)
def test_pods_of_a_group_are_placed_close_together(
    queue: str | None, domain: str | None, annotation: str | None, affinity: str | None
) -> None:
    topology = {"nodes": 2, **({domain: "rack"} if domain else {})}
    spec = {"backend": "PyTorchJob", "topology": topology}
    launch = launch_of("FineTuneRun", "train", {**spec, **({"queue": queue} if queue else {})})
    for template in templates(manifest(launch, SETTINGS)):
        told = {key: value for key, value in template["metadata"]["annotations"].items() if "podset" in key}
        # The group makes Kueue look for one domain for master and workers together.
        assert told == ({annotation: "rack", "kueue.x-k8s.io/podset-group-name": "ranks"} if annotation else {})
        placed = template["spec"].get("affinity", {}).get("podAffinity", {})
        assert list(placed) == ([affinity] if affinity else [])


def test_a_foreign_image_is_told_as_much_as_our_own() -> None:
    for template in templates(manifest(CASES["pytorchjob-foreign"], SETTINGS)):
        (container,) = template["spec"]["containers"]
        assert (container["image"], container["command"]) == ("example/trainer:7", ["torchrun", "train.py"])
        assert container["args"] == ["--epochs", "1"]
        environment = {one["name"]: one.get("value") for one in container["env"]}
        assert environment["NCCL_DEBUG"] == "INFO"
        assert environment["KUBEFLOW_TRAINER_SERVER_URL"].endswith("/finetuneruns/tune/status")
        assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}} in template["spec"]["volumes"]


@pytest.mark.parametrize(
    ("scheduling", "keys"),
    [
        ({}, ["nvidia.com/gpu"]),
        ({"tolerations": [{"key": "spot", "operator": "Exists"}]}, ["spot", "nvidia.com/gpu"]),
        ({"tolerations": [{"key": "nvidia.com/gpu", "value": "h100"}]}, ["nvidia.com/gpu"]),
    ],
)
def test_pods_with_gpus_tolerate_the_taint_of_gpu_nodes(scheduling: dict[str, Any], keys: list[str]) -> None:
    launch = launch_of("FineTuneRun", "train", {"topology": {"gpusPerNode": 8}, "scheduling": scheduling})
    for template in templates(manifest(launch, SETTINGS)):
        assert [one["key"] for one in template["spec"]["tolerations"]] == keys
    cpu = launch_of("FineTuneRun", "train", {"topology": {"gpusPerNode": 8, "device": "cpu"}})
    assert all("tolerations" not in template["spec"] for template in templates(manifest(cpu, SETTINGS)))


def test_ranks_on_gpus_have_nccls_settings_and_the_run_has_the_last_word() -> None:
    def environment(**spec: Any) -> dict[str, str]:
        (template,) = templates(manifest(launch_of("FineTuneRun", "train", spec), SETTINGS))
        return {one["name"]: one.get("value", "") for one in template["spec"]["containers"][0]["env"]}

    gpus = {"topology": {"gpusPerNode": 8}}
    assert environment(**gpus)["NCCL_DEBUG"] == "WARN"
    # torch's own way to end a collective whose peer has died is the better one.
    assert "TORCH_NCCL_ASYNC_ERROR_HANDLING" not in environment(**gpus)
    own = {"NCCL_DEBUG": "INFO", "NCCL_IB_HCA": "mlx5", "TORCH_NCCL_ASYNC_ERROR_HANDLING": "0"}
    assert own.items() <= environment(**gpus, template={"env": own}).items()
    assert not any("NCCL" in name for name in environment(topology={"gpusPerNode": 2, "device": "cpu"}))


def test_a_queued_child_waits_suspended_and_its_pods_carry_no_queue() -> None:
    made = manifest(CASES["pytorchjob-queued"], SETTINGS)
    assert made["spec"]["runPolicy"]["suspend"] is True  # type: ignore[index]
    assert made["metadata"]["labels"][QUEUE] == "gpus"  # type: ignore[index]
    for template in templates(made):
        assert QUEUE not in template["metadata"]["labels"]


@pytest.mark.parametrize("case", [name for name in CASES if name.startswith("pytorchjob")])
def test_a_pytorchjob_keeps_the_pods_of_a_failed_attempt(case: str) -> None:
    """They say why it failed. With a backoffLimit the training operator deletes them all."""
    made: Any = manifest(CASES[case], SETTINGS)
    assert "backoffLimit" not in made["spec"]["runPolicy"]
    assert made["spec"]["runPolicy"]["cleanPodPolicy"] == "None"
    replicas = made["spec"]["pytorchReplicaSpecs"].values()
    assert {one["restartPolicy"] for one in replicas} == {"Never"}


def test_an_artifact_claim_is_mounted_at_the_root() -> None:
    settings = replace(SETTINGS, artifact_root="file:///var/artifacts", artifact_claim="shared")
    (template,) = templates(manifest(CASES["job-ingest"], settings))
    assert {"name": "artifacts", "mountPath": "/var/artifacts"} in template["spec"]["containers"][0]["volumeMounts"]


def test_the_status_authority_is_published_without_an_owner() -> None:
    made = status_ca("team", "PEM")
    assert made["data"] == {"ca.crt": "PEM"}
    assert "ownerReferences" not in made["metadata"]


def test_pods_that_load_a_model_share_the_cache_of_models() -> None:
    def volumes(stage: str, spec: dict[str, Any], **inputs: str) -> dict[str, Any]:
        launch = replace(
            launch_of("FineTuneRun", stage, spec),
            inputs=tuple(StageInput(name=name, uri=uri, digest="uri:x") for name, uri in inputs.items()),
        )
        settings = replace(SETTINGS, defaults=WorkerDefaults(model_cache=ModelCache(claim="models")))
        (template,) = templates(manifest(launch, settings))
        (container,) = template["spec"]["containers"]
        environment = {one["name"]: one.get("value") for one in container["env"]}
        mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert environment.get("FABULA_MODEL_CACHE") == mounted.get("models")
        assert environment.get("FABULA_ARTIFACT_CACHE") == (
            f"{mounted['models']}/artifacts" if "models" in mounted else None
        )
        return {one["name"]: one for one in template["spec"]["volumes"]}

    cpu = {"topology": {"gpusPerNode": 1, "device": "cpu"}}
    claimed = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}
    assert volumes("train", {"topology": {"gpusPerNode": 8}})["models"] == claimed
    assert volumes("train", cpu, model="m")["models"] == claimed
    assert "models" not in volumes("train", cpu, dataset="d")
    (plain,) = templates(manifest(launch_of("FineTuneRun", "train", {"topology": {"gpusPerNode": 8}}), SETTINGS))
    assert "models" not in {one["name"] for one in plain["spec"]["volumes"]}
    with pytest.raises(ValueError, match="a claim or a hostPath"):
        ModelCache()


@pytest.mark.parametrize(
    ("place", "confined", "shared"),
    [("claim", True, True), ("claim", False, True), ("host_path", False, True), ("host_path", True, False)],
)
def test_a_nodes_folder_holds_no_artifacts_of_namespaces_that_are_kept_apart(
    place: str, confined: bool, shared: bool
) -> None:
    cache = ModelCache(claim="models") if place == "claim" else ModelCache(host_path="/nvme/models")
    settings = replace(SETTINGS, defaults=WorkerDefaults(model_cache=cache), confined=confined)
    (template,) = templates(manifest(launch_of("FineTuneRun", "train", {"topology": {"gpusPerNode": 8}}), settings))
    names = {one["name"] for one in template["spec"]["containers"][0]["env"]}
    assert "FABULA_MODEL_CACHE" in names
    assert ("FABULA_ARTIFACT_CACHE" in names) == shared


def test_a_network_past_the_kernel_is_asked_for_by_each_pod_of_the_group() -> None:
    rdma = {
        "resources": {"rdma/hca_shared_devices": "8"},
        "annotations": {"k8s.v1.cni.cncf.io/networks": "rail-0,rail-1"},
        "ipcLock": True,
    }
    spec = {"topology": {"nodes": 2, "gpusPerNode": 8, "rdma": rdma}}
    (template,) = templates(manifest(launch_of("FineTuneRun", "train", spec, crd=False), SETTINGS))
    container = template["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"rdma/hca_shared_devices": "8", "nvidia.com/gpu": "8"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["IPC_LOCK"]}
    assert template["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] == "rail-0,rail-1"
    assert template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    other = launch_of("FineTuneRun", "resolve", {**spec, "model": {"uri": "s3://models/m"}, "dataset": {"uri": "d"}})
    (template,) = templates(manifest(other, SETTINGS))
    assert "rdma/hca_shared_devices" not in template["spec"]["containers"][0]["resources"].get("limits", {})


@pytest.mark.parametrize(
    ("model", "cache", "asked"),
    [
        ({"name": "Qwen/Qwen3-VL-32B-Instruct"}, None, "66Gi"),
        ({"name": "Qwen/Qwen3-VL-32B-Instruct"}, ModelCache(claim="models"), None),
        ({"uri": "s3://models/Qwen3-VL-32B-Instruct"}, ModelCache(claim="models"), "66Gi"),
        ({"uri": "file:///artifacts/Qwen3-VL-32B-Instruct"}, None, None),
        ({"name": "some/model"}, None, None),
    ],
)
def test_pods_that_fetch_a_model_ask_for_a_node_with_room(
    model: dict[str, Any], cache: ModelCache | None, asked: str | None
) -> None:
    settings = replace(SETTINGS, defaults=WorkerDefaults(model_cache=cache))
    spec = {"model": {**model, "digest": MODEL_DIGEST}, "topology": {"gpusPerNode": 8}, "preflight": {"policy": "off"}}

    def requests(**resources: Any) -> dict[str, str]:
        (template,) = templates(
            manifest(launch_of("FineTuneRun", "train", {**spec, "resources": resources}, crd=False), settings)
        )
        found: dict[str, str] = template["spec"]["containers"][0]["resources"].get("requests", {})
        return found

    assert requests().get("ephemeral-storage") == asked
    assert requests(requests={"ephemeral-storage": "1Ti"})["ephemeral-storage"] == "1Ti"
    assert "ephemeral-storage" not in requests(limits={"ephemeral-storage": "1Ti"})
