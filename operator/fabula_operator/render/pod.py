"""The worker pod: one container under the restricted pod security standard, told everything through its environment."""

from __future__ import annotations

import math
from typing import Any

from fabula_api.artifact import canonical_json
from fabula_api.once import once
from fabula_api.worker import (
    ARTIFACT_CACHE_VARIABLE,
    CONFIG_VARIABLE,
    METRICS_PORT_VARIABLE,
    MODEL_CACHE_VARIABLE,
    SERVER_CA_VARIABLE,
    SERVER_TOKEN_VARIABLE,
    SERVER_URL_VARIABLE,
    RunReference,
    WorkerConfig,
)
from fabula_operator.render.launch import Launch, WorkerSettings
from fabula_operator.render.literal import literal, variable
from fabula_operator.render.metadata import labels
from fabula_operator.render.names import WORKER_CONTAINER
from fabula_operator.render.placement import affinity, rdma_of, topology_annotations
from fabula_operator.render.ranks_service import rendezvous, service_name
from fabula_operator.render.status_ca import CONFIG_MAP, KEY
from fabula_operator.render.worker_defaults import Placement

RUN_FOLDER = "/var/run/fabula"
SCRATCH = "/scratch"
MODELS = "/models"
ARTIFACTS = f"{MODELS}/artifacts"
TOKEN_SECONDS = 3600
GPU = "nvidia.com/gpu"
DISK = "ephemeral-storage"
BESIDE_WEIGHTS = 1.05
"""Of a model's files: tokenizer, processor, and what else is fetched and written beside weights."""
GPU_PRODUCT_LABEL = "nvidia.com/gpu.product"
WORKER_USER = 10001
# A sidecar that runs on keeps a pod from ending. Istio looks for the label first.
NO_SIDECARS_LABELS = {"sidecar.istio.io/inject": "false"}
NO_SIDECARS = {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"}
# Says in the log why a connection failed, and nothing else. How a collective ends whose peer has died is left to torch:
# by itself it ends the process at once; told otherwise, it first takes the communicators down, which can hang.
NCCL = {"NCCL_DEBUG": "WARN"}


def worker_config(launch: Launch, root: str) -> WorkerConfig:
    """What the pods of a launch are told."""
    return WorkerConfig(
        run=RunReference(
            kind=launch.run.kind, namespace=launch.run.namespace, name=launch.run.name, uid=launch.run.uid
        ),
        stage=launch.stage,
        arm=launch.arm,
        shards=launch.shards if launch.shape == "sharded" else 1,
        attempt=launch.attempt,
        root=root,
        output=launch.output,
        key=launch.key,
        inputs=list(launch.inputs),
        spec=launch.spec,
    )


@once(64)
def config_text(launch: Launch, root: str) -> str:
    """What FABULA_CONFIG says to the pods of a launch."""
    config = worker_config(launch, root).model_dump(mode="json", by_alias=True, exclude_none=True)
    return canonical_json(config).decode()


def pod_template(launch: Launch, settings: WorkerSettings, *, container: str = WORKER_CONTAINER) -> dict[str, Any]:
    """Template of the launch's pods."""
    spec = launch.spec
    template: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": max(settings.grace_seconds, launch.grace_seconds),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": WORKER_USER,
            "runAsGroup": WORKER_USER,
            "fsGroup": WORKER_USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(launch, settings, container)],
        "volumes": _volumes(launch, settings),
    }
    if launch.linked:
        template["subdomain"] = service_name(launch)
    defaults, place = settings.defaults, settings.defaults.gpu if launch.gpus else settings.defaults.cpu
    if account := spec.service_account_name or defaults.service_account_name:
        template["serviceAccountName"] = account
    if defaults.image_pull_secrets:
        template["imagePullSecrets"] = [{"name": name} for name in defaults.image_pull_secrets]
    selector = {**place.node_selector, **spec.scheduling.node_selector}
    if launch.topology and launch.topology.product and launch.device == "cuda":
        selector[GPU_PRODUCT_LABEL] = launch.topology.product
    if selector:
        template["nodeSelector"] = selector
    if tolerations := _tolerations(launch, place):
        template["tolerations"] = tolerations
    if spec.scheduling.priority_class_name:
        template["priorityClassName"] = spec.scheduling.priority_class_name
    if (near := affinity(launch)) is not None:
        template["affinity"] = near
    metadata: dict[str, Any] = {"labels": {**labels(launch), **NO_SIDECARS_LABELS}}
    rdma = rdma_of(launch)
    annotations = {**(rdma.annotations if rdma else {}), **NO_SIDECARS, **topology_annotations(launch)}
    if settings.metrics_port:
        annotations |= {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(settings.metrics_port),
            "prometheus.io/path": "/metrics",
        }
    metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": template}


def _tolerations(launch: Launch, place: Placement) -> list[dict[str, Any]]:
    """The spec's own, the installation's, and the taint that usually keeps pods without a GPU from nodes with them."""
    wanted = [*launch.spec.scheduling.tolerations, *place.tolerations]
    tolerations = [toleration.model_dump(mode="json", by_alias=True, exclude_none=True) for toleration in wanted]
    if launch.gpus and not any(toleration.get("key") == GPU for toleration in tolerations):
        tolerations.append({"key": GPU, "operator": "Exists", "effect": "NoSchedule"})
    return tolerations


def _container(launch: Launch, settings: WorkerSettings, name: str) -> dict[str, Any]:
    run = launch.run
    status_path = f"/v1alpha1/namespaces/{run.namespace}/{run.plural}/{run.name}/status"
    environment = {
        CONFIG_VARIABLE: config_text(launch, settings.artifact_root),
        SERVER_URL_VARIABLE: settings.status_url.rstrip("/") + status_path,
        SERVER_CA_VARIABLE: f"{RUN_FOLDER}/ca.crt",
        SERVER_TOKEN_VARIABLE: f"{RUN_FOLDER}/token",
        # The root file system is read-only, so whatever libraries write goes to scratch.
        "HOME": SCRATCH,
        "TMPDIR": SCRATCH,
    }
    if settings.metrics_port:
        environment[METRICS_PORT_VARIABLE] = str(settings.metrics_port)
    if launch.gpus and launch.shape == "group":
        environment |= NCCL
    cache = settings.defaults.model_cache
    if cache and _loads_models(launch, settings):
        environment[MODEL_CACHE_VARIABLE] = MODELS
        if not (settings.confined and cache.host_path):
            environment[ARTIFACT_CACHE_VARIABLE] = ARTIFACTS
    environment |= settings.defaults.env
    # Command, arguments and variables of a spec's template are a pod's own fields, in which `$(NAME)` means what it
    # means in any pod; they may override ours, which are data.
    template, rdma = launch.template, rdma_of(launch)
    ours = {key: value for key, value in environment.items() if key not in template.env}
    mounts = [
        {"name": "fabula", "mountPath": RUN_FOLDER, "readOnly": True},
        {"name": "scratch", "mountPath": SCRATCH},
    ]
    if launch.gpus:
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108 - where NCCL exchanges buffers
    if _loads_models(launch, settings):
        mounts.append({"name": "models", "mountPath": MODELS})
    if settings.artifact_claim:
        mounts.append({"name": "artifacts", "mountPath": settings.artifact_root.removeprefix("file://")})
    container: dict[str, Any] = {
        "name": name,
        "image": template.image or _image(launch, settings),
        "command": list(template.command) or ["fabula-worker", literal(launch.stage)],
        **({"args": list(template.args)} if template.args else {}),
        "env": [
            *(variable(key, value) for key, value in ours.items()),
            *({"name": key, "value": value} for key, value in template.env.items()),
            *(rendezvous(launch) if launch.linked else ()),
        ],
        "resources": _resources(launch, settings),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], **({"add": ["IPC_LOCK"]} if rdma and rdma.ipc_lock else {})},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }
    if secret := launch.spec.secret_ref.name if launch.spec.secret_ref else settings.defaults.secret_name:
        container["envFrom"] = [{"secretRef": {"name": secret}}]
    if settings.metrics_port:
        container["ports"] = [{"name": "metrics", "containerPort": settings.metrics_port}]
    return container


def _image(launch: Launch, settings: WorkerSettings) -> str:
    if launch.vllm:
        return settings.image_vllm
    return settings.image_gpu if launch.device == "cuda" else settings.image_cpu


def _loads_models(launch: Launch, settings: WorkerSettings) -> bool:
    """Whether there is a cache of models and the launch's pods load one: others would only be bound to its volume."""
    if settings.defaults.model_cache is None:
        return False
    return bool(launch.gpus) or any(stage_input.name.lower().endswith("model") for stage_input in launch.inputs)


def _resources(launch: Launch, settings: WorkerSettings) -> dict[str, Any]:
    limits = dict(launch.resources.limits)
    if launch.gpus:
        limits.setdefault(GPU, str(launch.gpus))
    if (rdma := rdma_of(launch)) is not None:
        # Devices cannot be asked for and not be had, so what they are limited to is what is requested.
        limits = {**rdma.resources, **limits}
    requests = dict(launch.resources.requests)
    fetched = launch.model_bytes and not (launch.model_of_hub and settings.defaults.model_cache)
    if fetched and DISK not in requests and DISK not in limits:
        # Else the scheduler may choose a node whose disk does not hold the model, and the kubelet evicts who fills it.
        requests[DISK] = f"{math.ceil(launch.model_bytes * BESIDE_WEIGHTS / 2**30)}Gi"
    resources = {"requests": requests, "limits": limits}
    return {name: amounts for name, amounts in resources.items() if amounts}


def _volumes(launch: Launch, settings: WorkerSettings) -> list[dict[str, Any]]:
    token = {"audience": launch.run.audience, "expirationSeconds": TOKEN_SECONDS, "path": "token"}
    sources = [
        {"serviceAccountToken": token},
        {"configMap": {"name": CONFIG_MAP, "items": [{"key": KEY, "path": KEY}]}},
    ]
    volumes: list[dict[str, Any]] = [
        {"name": "fabula", "projected": {"sources": sources}},
        {"name": "scratch", "emptyDir": {"sizeLimit": settings.defaults.scratch_limit}},
    ]
    if launch.gpus:
        shared = {"medium": "Memory", "sizeLimit": settings.defaults.shared_memory_limit}
        if launch.topology and launch.topology.shared_memory:
            shared["sizeLimit"] = launch.topology.shared_memory
        volumes.append({"name": "shm", "emptyDir": shared})
    if settings.defaults.model_cache and _loads_models(launch, settings):
        volumes.append({"name": "models", **settings.defaults.model_cache.source})
    if settings.artifact_claim:
        volumes.append({"name": "artifacts", "persistentVolumeClaim": {"claimName": settings.artifact_claim}})
    return volumes
