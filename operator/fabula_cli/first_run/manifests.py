"""What is tried: children as the operator renders them, with `fabula-probe` in the place of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.shared_spec import Resources
from fabula_api.worker import CONFIG_VARIABLE, StageInput
from fabula_operator.render import Launch, RunIdentity, WorkerSettings, manifest
from fabula_operator.render.names import QUEUE

LABEL = "fabula.dev/first-run"
"""On each child and its pods, with the name of the trial."""
_SPEC = {
    "dataset": {"uri": "first-run"},
    "model": {"uri": "first-run"},
    "topology": {"gpusPerNode": 1, "device": "cpu"},
}
_MODEL = StageInput(name="model", uri="first-run", digest="uri:first-run")
"""A pod that loads a model gets the cache of models."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One child, and what it is about."""

    name: str
    about: str
    kind: Literal["Job", "PyTorchJob"]
    gpus: int = 0
    queue: str | None = None
    suspended: bool = False
    arguments: tuple[str, ...] = ()
    """Further ones of `fabula-probe`."""


def child(trial: Trial, namespace: str, settings: WorkerSettings, uid: str) -> dict[str, Any]:
    """The manifest of a trial. It has no owner, and none of the labels by which the operator knows its own."""
    obj: dict[str, Any] = dict(manifest(_launch(trial, namespace), settings))
    obj["metadata"] = {
        "name": f"fabula-first-run-{trial.name}-{uid}",
        "namespace": namespace,
        "labels": _labels(trial) | ({QUEUE: trial.queue} if trial.queue else {}),
    }
    spec = obj["spec"]
    if trial.suspended:
        spec["runPolicy"]["suspend"] = True
    templates = [spec["template"]] if trial.kind == "Job" else [
        replica["template"] for replica in spec["pytorchReplicaSpecs"].values()
    ]  # fmt: skip
    for template in templates:
        _probe(template, trial, namespace, settings)
    return obj


def _labels(trial: Trial) -> dict[str, str]:
    return {LABEL: trial.name, "app.kubernetes.io/part-of": "fabula"}


def _launch(trial: Trial, namespace: str) -> Launch:
    spec = FineTuneRunSpec.model_validate(_SPEC)
    return Launch(
        RunIdentity("FineTuneRun", namespace, "first-run", "first-run"),
        generation=1, stage="train", shape="group", key=f"sha256:{'0' * 64}", output="first-run",
        spec=spec, topology=spec.topology, backend=trial.kind, inputs=(_MODEL,),
        device="cuda" if trial.gpus else "cpu", gpus=trial.gpus, queue=trial.queue,
        resources=Resources(requests={"cpu": "100m", "memory": "1Gi"}, limits={"memory": "16Gi"}),
    )  # fmt: skip


def _probe(template: dict[str, Any], trial: Trial, namespace: str, settings: WorkerSettings) -> None:
    # Network policies let pods of this name reach the status server.
    name = {"app.kubernetes.io/name": "fabula-worker"}
    template["metadata"] = {"labels": {**_labels(trial), **name}, "annotations": template["metadata"]["annotations"]}
    for volume in template["spec"]["volumes"]:
        for source in (volume.get("projected") or {}).get("sources", ()):
            # The operator puts its authority into a namespace when the first run comes.
            if "configMap" in source:
                source["configMap"]["optional"] = True
    (container,) = template["spec"]["containers"]
    root = [f"--root={settings.artifact_root}", f"--folder={namespace}"]
    container["command"] = ["fabula-probe", *root, *([f"--gpus={trial.gpus}"] if trial.gpus else ()), *trial.arguments]
    container["env"] = [variable for variable in container["env"] if variable["name"] != CONFIG_VARIABLE]


def trials(
    products: Sequence[str | None], pytorch_jobs: bool, queues: Sequence[str], gpus: int, bedrock: Sequence[str]
) -> list[Trial]:
    """What can be tried where nodes have these GPUs, and these LocalQueues are there."""
    planned = [Trial("cpu", "pod", "Job", arguments=tuple(bedrock))]
    for number, product in enumerate(dict.fromkeys(products)):
        arguments = (f"--product={product}",) if product else ()
        planned.append(
            Trial(f"gpu-{number}", f"GPU pod, {product or 'no label'}", "Job", gpus=gpus, arguments=arguments)
        )
    if pytorch_jobs:
        planned.append(Trial("trainer", "training operator", "PyTorchJob"))
        planned.append(Trial("held", "training operator", "PyTorchJob", suspended=True))
    planned += [Trial(f"queue-{number}", f"Kueue, {queue}", "Job", queue=queue) for number, queue in enumerate(queues)]
    return planned


def on_product(settings: WorkerSettings, product: str | None) -> WorkerSettings:
    """The settings, for pods that have to run where a GPU of that name is."""
    if product is None:
        return settings
    place = settings.defaults.gpu
    selector = {**place.node_selector, "nvidia.com/gpu.product": product}
    gpu = place.replace(node_selector=selector)
    return replace(settings, defaults=settings.defaults.replace(gpu=gpu))
