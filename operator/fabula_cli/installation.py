"""How an installation runs its workers, as its operator's Deployment and the chart's settings tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from fabula_cli.access import Access
from fabula_kube.kinds import CONFIG_MAP
from fabula_operator.render.launch import WorkerSettings
from fabula_operator.render.worker_defaults import WorkerDefaults

_WORKERS = "workers.yaml"


@dataclass(frozen=True, slots=True)
class Installation:
    """What a release gives its workers."""

    namespace: str
    name: str
    """Of its Deployment."""
    account: str
    """The operator's ServiceAccount."""
    lease: tuple[str, str]
    """Namespace and name of the Lease that its operator leads by."""
    worker: WorkerSettings


def installation(reach: Access, deployment: dict[str, Any]) -> Installation:
    """Read one. Raises ApiError where its settings may not be read, ValueError where they cannot be understood."""
    meta, pod = deployment["metadata"], deployment["spec"]["template"]["spec"]
    options = _options(deployment)
    defaults = WorkerDefaults()
    for volume in pod.get("volumes", ()):
        if name := (volume.get("configMap") or {}).get("name"):
            data = reach.client.get(CONFIG_MAP, meta["namespace"], name).get("data") or {}
            if _WORKERS in data:
                defaults = _defaults(data[_WORKERS], f"ConfigMap {name}")
    return Installation(
        meta["namespace"], meta["name"], pod.get("serviceAccountName") or "default",
        (options.get("lease-namespace", "default"), options.get("lease-name", "fabula-operator")),
        WorkerSettings(
            artifact_root=options["artifact-root"],
            status_url=options.get("status-url", ""),
            image_cpu=options.get("image-cpu", ""),
            image_gpu=options.get("image-gpu", ""),
            metrics_port=None,
            artifact_claim=options.get("artifact-claim"),
            defaults=defaults,
        ),
    )  # fmt: skip


def _options(deployment: dict[str, Any]) -> dict[str, str]:
    """The operator's options: `--artifact-root=s3://b/f` is `artifact-root`."""
    words = [
        word
        for container in deployment["spec"]["template"]["spec"].get("containers", ())
        for word in (*container.get("command", ()), *container.get("args", ()))
    ]
    pairs = (word.removeprefix("--").partition("=") for word in words if word.startswith("--"))
    return {name: value for name, sign, value in pairs if sign}


def _defaults(text: str, where: str) -> WorkerDefaults:
    try:
        return WorkerDefaults.model_validate(yaml.safe_load(text) or {})
    except (yaml.YAMLError, ValidationError) as error:
        raise ValueError(
            f"{where}: {_WORKERS} is not what this command knows; is it of the release's version? {error}"
        ) from error
