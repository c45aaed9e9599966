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
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.observations import complete, launches, observed, step

from fabula_api.recipes import Kind
from fabula_api.worker import CONFIG_VARIABLE, StageInput, WorkerConfig
from fabula_operator.plan.seen.observed import Environment
from fabula_operator.render import Launch, WorkerSettings, child_name, manifest, ranks_service, status_ca
from fabula_operator.render.names import CHILD_NAME_LIMIT, QUEUE, label_value
from fabula_operator.render.ranks_service import service_name
from fabula_operator.render.worker_defaults import ModelCache, WorkerDefaults

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = WorkerSettings("s3://bucket/fabula", "https://fabula-operator.fabula:8443", "ghcr/cpu:1", "ghcr/gpu:1")
SCHEDULED = {
    "scheduling": {
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "batch",
    },
    "serviceAccountName": "worker",
    "secretRef": {"name": "aws"},
}


def launch_of(kind: Kind, stage: str, spec: dict[str, Any] | None = None, *, crd: bool = True) -> Launch:
    seen = observed(kind, spec, environment=Environment("s3://bucket/fabula", crd))
    for _ in range(6):
        seen, made = step(complete(seen))
        found = [launch for launch in launches(made) if launch.stage == stage]
        if found:
            return found[-1]
    raise AssertionError(f"no launch of {stage}")


class Plain(yaml.SafeDumper):
    """Without anchors, so that each template can be read where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


CASES = {
    "job-ingest": launch_of("DatasetBuild", "ingest"),
    "job-extract-sharded": launch_of("DatasetBuild", "extract", SCHEDULED),
    "job-illustrate-gpu": launch_of("DatasetBuild", "illustrate", {"images": {"provider": "diffusers"}}),
    "job-infer-arm": launch_of("EvalRun", "infer"),
    "job-train": launch_of("FineTuneRun", "train", crd=False),
    "job-train-two-nodes": launch_of("FineTuneRun", "train", {"topology": {"nodes": 2, "gpusPerNode": 8}}, crd=False),
    "pytorchjob-one-node": launch_of("FineTuneRun", "train"),
    "pytorchjob-queued": launch_of("FineTuneRun", "train", {"queue": "gpus"}),
    "pytorchjob-foreign": launch_of(
        "FineTuneRun",
        "train",
        {
            "backend": "PyTorchJob",
            "template": {
                "image": "example/trainer:7",
                "command": ["torchrun", "train.py"],
                "args": ["--epochs", "1"],
                "env": {"NCCL_DEBUG": "INFO", "NCCL_SOCKET_IFNAME": "eth0"},
            },
            "topology": {
                "nodes": 2,
                "gpusPerNode": 8,
                "sharedMemory": "64Gi",
                "preferredDomain": "topology.kubernetes.io/rack",
            },
        },
    ),
    "pytorchjob-placed-by-kueue": launch_of(
        "FineTuneRun",
        "train",
        {
            **SCHEDULED,
            "queue": "gpus",
            "backend": "PyTorchJob",
            "deadline": "24h",
            "topology": {
                "nodes": 4,
                "gpusPerNode": 8,
                "product": "NVIDIA-H100-80GB-HBM3",
                "requiredDomain": "cloud.provider.com/topology-rack",
            },
        },
    ),
    "pytorchjob-two-nodes-a100": launch_of(
        "FineTuneRun",
        "train",
        {
            "backend": "PyTorchJob",
            "topology": {"nodes": 2, "gpusPerNode": 8, "product": "NVIDIA-A100-SXM4-80GB"},
            "resources": {"requests": {"cpu": "64", "memory": "512Gi"}},
        },
    ),
}


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


def templates(made: Any) -> list[dict[str, Any]]:
    spec = made["spec"]
    if "template" in spec:
        return [spec["template"]]
    return [replica["template"] for replica in spec["pytorchReplicaSpecs"].values()]


@pytest.mark.parametrize("run", ["a", "a" * 63, "a.b.c", "x" * 200, "run-" * 20 + "z"])
@pytest.mark.parametrize("arm", [None, "base", "b" * 63])
def test_names_are_valid_short_and_differ(run: str, arm: str | None) -> None:
    names = {
        child_name(run, stage, arm, "sha256:" + key * 64, attempt)
        for stage in ("infer", "illustrate")
        for key in "ab"
        for attempt in (None, 1, 64)
    }
    assert len(names) == 12
    for name in names:
        assert len(name) <= CHILD_NAME_LIMIT
        assert name[0].isalnum()
        assert name[-1].isalnum()
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_runs_whose_names_differ_by_a_dot_have_different_children() -> None:
    assert child_name("a.b", "s", None, "sha256:" + "a" * 64) != child_name("a-b", "s", None, "sha256:" + "a" * 64)


@pytest.mark.parametrize("run", ["32b", "8b.lora", "1" * 63, "4" * 200])
def test_a_pytorchjob_has_a_name_that_the_training_operator_takes(run: str) -> None:
    """A DNS label as of RFC 1035, and so has the Service of each of 1,024 replicas."""
    name = child_name(run, "train", None, "sha256:" + "a" * 64, 64)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(f"{name}-worker-1022") <= 63
    assert name != child_name(f"r{run}", "train", None, "sha256:" + "a" * 64, 64)


def test_long_names_become_valid_labels() -> None:
    assert len(label_value("n" * 200)) == 63
    assert label_value("short") == "short"


LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
PART = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
RUN_NAMES = st.one_of(
    st.lists(PART, min_size=1, max_size=8).map(lambda parts: ".".join(parts)[:253].rstrip("-.")),
    # Names that are alike for as long as they can be.
    st.builds(lambda fill, end: fill * (253 - len(end)) + end, st.sampled_from("a3"), PART),
    st.builds(lambda dots: "".join(f"a{dot}" for dot in dots) + "z", st.text("-.", max_size=120)),
)
NAMED = ("stories", "stories.v2", "stories-v2", "a" * 253, "a" * 252 + "b", "3.5b", "a." * 126 + "z", "a-" * 126 + "z")


def renamed(case: str, name: str) -> tuple[Launch, dict[str, Any]]:
    launch = replace(CASES[case], run=replace(CASES[case].run, name=name))
    made: Any = manifest(launch, SETTINGS)
    return launch, made


def assert_names_are_valid(name: str) -> list[str]:
    """Each label and name that is made for a run of that name; the names of its objects."""
    found = []
    for case in ("job-infer-arm", "job-train-two-nodes", "pytorchjob-two-nodes-a100"):
        launch, made = renamed(case, name)
        metas = [made["metadata"], *(template["metadata"] for template in templates(made))]
        for key, value in (pair for meta in metas for pair in meta["labels"].items()):
            assert VALUE.fullmatch(value), (key, value)
        child = made["metadata"]["name"]
        kind = SERVICE if made["kind"] == "PyTorchJob" else LABEL
        for pod in (child, f"{child}-master-0", f"{child}-worker-1022", f"{child}-1022-abcde"):
            assert kind.fullmatch(pod), pod
        if made["kind"] == "Job":
            # What the Job's controller makes a label of, and the host that the ranks call.
            assert VALUE.fullmatch(child) and len(f"{child}-0.{service_name(launch)}") <= 253
        service: Any = ranks_service(launch)
        assert SERVICE.fullmatch(service["metadata"]["name"])
        assert all(VALUE.fullmatch(value) for value in service["metadata"]["labels"].values())
        found.append(f"{made['kind']}/{child}")
        assert made["metadata"]["ownerReferences"][0]["name"] == name
    return found


@given(RUN_NAMES)
@example("stories.v2")
@example("a" * 253)
def test_whatever_a_run_is_called_its_objects_and_labels_are_valid(name: str) -> None:
    assert_names_are_valid(name)


def test_runs_of_other_names_have_other_objects_and_labels() -> None:
    made = [one for name in NAMED for one in assert_names_are_valid(name)]
    assert len(made) == len(set(made))
    assert len({label_value(name) for name in NAMED}) == len(NAMED)


def test_an_artifact_claim_is_mounted_at_the_root() -> None:
    settings = replace(SETTINGS, artifact_root="file:///var/artifacts", artifact_claim="shared")
    (template,) = templates(manifest(CASES["job-ingest"], settings))
    assert {"name": "artifacts", "mountPath": "/var/artifacts"} in template["spec"]["containers"][0]["volumeMounts"]


def test_the_status_authority_is_published_without_an_owner() -> None:
    made = status_ca("team", "PEM")
    assert made["data"] == {"ca.crt": "PEM"}
    assert "ownerReferences" not in made["metadata"]


PROMPT = "costs $$5, $(AWS_SECRET_ACCESS_KEY) and ${HOME}; $$(A) $"


def expanded(text: str) -> str:
    """What Kubernetes makes of a value without knowing any variable: `$$` is one `$`, an unknown `$(NAME)` stays."""
    return re.sub(r"\$(\$)?", "$", text)


@pytest.mark.parametrize(("kind", "stage"), [("EvalRun", "infer"), ("FineTuneRun", "train")])
def test_dollars_of_a_spec_arrive_as_they_are(kind: Kind, stage: str) -> None:
    launch = replace(launch_of(kind, stage), output=f"file:///{PROMPT}")
    for template in templates(manifest(launch, SETTINGS)):
        written = {one["name"]: one.get("value", "") for one in template["spec"]["containers"][0]["env"]}
        assert "$(AWS" not in re.sub(r"\$\$", "", written[CONFIG_VARIABLE])
        assert WorkerConfig.model_validate_json(expanded(written[CONFIG_VARIABLE])).output == f"file:///{PROMPT}"


def test_fields_of_a_template_mean_what_they_mean_in_a_pod() -> None:
    template = {
        "image": "x/y", "command": ["sh", "-c", "echo $$1"], "args": ["--key=$(KEY)"], "env": {"A": "$(HOME)/a"},
    }  # fmt: skip
    launch = launch_of("FineTuneRun", "train", {"template": template})
    for made in templates(manifest(launch, SETTINGS)):
        container = made["spec"]["containers"][0]
        assert (container["command"], container["args"]) == (template["command"], template["args"])
        assert {"name": "A", "value": "$(HOME)/a"} in container["env"]
        config = next(one["value"] for one in container["env"] if one["name"] == CONFIG_VARIABLE)
        assert '"$$(HOME)/a"' in config


@pytest.mark.parametrize("name", CASES)
def test_every_value_of_ours_is_escaped(name: str) -> None:
    settings = replace(SETTINGS, artifact_root="s3://a$(B)", status_url="https://a$$b")
    for template in templates(manifest(CASES[name], settings)):
        for one in template["spec"]["containers"][0]["env"]:
            given = re.sub(r"\$\$", "", one.get("value", ""))
            assert "$" not in given or one["name"] in CASES[name].template.env


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
