"""Settings of the operator process: command-line options, each with an environment variable FABULA_<OPTION>."""

from __future__ import annotations

import argparse
import math
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from fabula_api.uri import resolve_uri
from fabula_operator.kube.client import SERVICE_ACCOUNT
from fabula_operator.plan.money.quota_groups import QuotaGroup, read_groups
from fabula_operator.render.launch import WorkerSettings
from fabula_operator.render.worker_defaults import WorkerDefaults, read_defaults


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the process is told."""

    worker: WorkerSettings
    kubeconfig: Path | None
    service_account: Path
    namespace: str | None
    status_host: str
    status_port: int
    tls_cert: Path | None
    tls_key: Path | None
    status_ca: Path | None
    insecure_status: bool
    metrics_host: str
    metrics_port: int
    lease_namespace: str
    lease_name: str
    identity: str
    progress_interval: float
    resync: float
    retry_backoff: float
    patience: float
    stalled_after: float
    gpu_hour_usd: Mapping[str, float]
    shared: tuple[str, ...] | None
    """Prefixes that runs of every namespace may read; None where runs are not confined to their namespace."""
    quota_groups: tuple[QuotaGroup, ...]
    workers: int
    log_level: str


def parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """The command line; defaults come from the environment."""
    made = argparse.ArgumentParser(
        prog="fabula-operator",
        description="Turns DatasetBuilds, FineTuneRuns and EvalRuns into Jobs and tells on them how far they are.",
        epilog="Every option can be set by an environment variable: --status-url by FABULA_STATUS_URL.",
    )

    def option(name: str, default: object, text: str, kind: type = str) -> None:
        variable = "FABULA_" + name.removeprefix("--").replace("-", "_").upper()
        value = environment.get(variable)
        shown = "" if default is None else f" [default: {default}]"
        made.add_argument(name, type=kind, default=value if value is not None else default, help=f"{text}{shown}")

    option("--kubeconfig", None, "kubeconfig file; without it, the cluster this pod runs in", Path)
    option("--service-account", SERVICE_ACCOUNT, "folder with this pod's ServiceAccount token", Path)
    option("--namespace", None, "look after one namespace only")
    option("--artifact-root", None, "URI below which artifacts lie, file:///... or s3://...")
    option("--artifact-claim", None, "PersistentVolumeClaim to mount at the path of a file:// artifact root")
    option("--status-host", "0.0.0.0", "address the status server listens on")  # noqa: S104 - pods reach it from outside
    option("--status-port", 8443, "port of the status server", int)
    option("--status-url", None, "https address of the status server as pods reach it")
    option("--tls-cert", None, "certificate of the status server, PEM", Path)
    option("--tls-key", None, "its private key, PEM", Path)
    option("--status-ca", None, "certificate authority that pods check it against, PEM; default: the certificate", Path)
    option("--image-cpu", "fabula-cpu", "image of workers without a GPU")
    option("--image-gpu", "fabula-gpu", "image of workers with GPUs")
    option("--image-vllm", "fabula-gpu-vllm", "image of workers that answer with vLLM")
    option("--workers-file", None, "YAML file with what each worker pod gets beside what its run asks for", Path)
    option("--worker-metrics-port", 9400, "port of the workers' Prometheus metrics; 0 turns them off", int)
    option("--worker-grace", 60, "seconds between SIGTERM and SIGKILL of a worker", int)
    option("--metrics-host", "0.0.0.0", "address of /metrics, /healthz and /readyz")  # noqa: S104 - scraped from outside
    option("--metrics-port", 8080, "port of /metrics, /healthz and /readyz; 0 picks a free one", int)
    option("--lease-namespace", "default", "namespace of the lease")
    option("--lease-name", "fabula-operator", "name of the lease that one of several operators holds")
    option("--identity", None, "holder's name in the lease; default: host name and a random part")
    option("--progress-interval", 10.0, "least seconds between two writes of one run's progress", float)
    option("--resync", 60.0, "seconds between two full reads", float)
    option("--retry-backoff", 10.0, "seconds before a group's second attempt, doubled for each further one", float)
    option("--patience", 60.0, "seconds until a child without pods, or a pod that does not start, is asked why", float)
    option("--stalled-after", 900.0, "seconds of waiting, or without any report, until a run is called stalled", float)
    option("--gpu-hour-usd", None, "dollars for a GPU hour by product: NVIDIA-A100-SXM4-80GB=1.8,NVIDIA-H200=3.5")
    option(
        "--quota-groups", None, "YAML file of quotas that namespaces share; without it, a group is a namespace's", Path
    )
    option(
        "--confine", "auto", "on: runs read and write below their namespace's folder only; auto: without --namespace"
    )
    option("--shared-prefixes", None, "comma-separated URIs or paths that runs of every namespace may read as well")
    option("--workers", 8, "runs looked at side by side", int)
    option("--log-level", "INFO", "DEBUG, INFO, WARNING or ERROR")
    made.add_argument(
        "--insecure-status",
        action="store_true",
        default=environment.get("FABULA_INSECURE_STATUS") == "true",
        help="serve reports over plain HTTP; for tests only",
    )
    return made


def read_prices(text: str) -> dict[str, float]:
    """`PRODUCT=PRICE,...` as a map. Raises ValueError naming the part that is none."""
    found: dict[str, float] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        product, equals, price = part.partition("=")
        try:
            found[product.strip()] = float(price)
        except ValueError:
            equals = ""
        if not equals or not product.strip() or not 0 <= found[product.strip()] < math.inf:
            raise ValueError(f"{part!r} is not PRODUCT=DOLLARS")
    return found


def read(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the command line and the environment. Ends the process with a message when one is missing."""
    environment = os.environ if environment is None else environment
    command_line = parser(environment)
    given = command_line.parse_args(arguments)
    for name in ("artifact_root", "status_url"):
        if not getattr(given, name):
            command_line.error(f"--{name.replace('_', '-')} is required")
    if not given.insecure_status and not (given.tls_cert and given.tls_key):
        command_line.error("--tls-cert and --tls-key are required: tokens are never taken over plain HTTP")
    try:
        prices = read_prices(given.gpu_hour_usd or "")
    except ValueError as error:
        command_line.error(f"--gpu-hour-usd: {error}")
    try:
        defaults = read_defaults(given.workers_file) if given.workers_file else WorkerDefaults()
    except ValueError as error:
        command_line.error(f"--workers-file: {error}")
    if given.confine not in ("auto", "on", "off"):
        command_line.error(f"--confine: {given.confine!r} is none of auto, on, off")
    shared = tuple(filter(None, (one.strip() for one in (given.shared_prefixes or "").split(","))))
    confined = given.confine == "on" or (given.confine == "auto" and not given.namespace)
    try:
        for prefix in shared:
            resolve_uri(prefix, given.artifact_root)
    except ValueError as error:
        command_line.error(f"--shared-prefixes: {error}")
    groups: tuple[QuotaGroup, ...] = ()
    if given.quota_groups:
        try:
            groups = read_groups(yaml.safe_load(given.quota_groups.read_text()))
        except (OSError, ValueError, yaml.YAMLError) as error:
            command_line.error(f"--quota-groups: {given.quota_groups}: {error}")
    worker = WorkerSettings(
        defaults=defaults,
        artifact_root=given.artifact_root,
        status_url=given.status_url,
        image_cpu=given.image_cpu,
        image_gpu=given.image_gpu,
        image_vllm=given.image_vllm,
        metrics_port=given.worker_metrics_port or None,
        artifact_claim=given.artifact_claim,
        grace_seconds=given.worker_grace,
    )
    return Settings(
        worker=worker,
        kubeconfig=given.kubeconfig,
        service_account=given.service_account,
        namespace=given.namespace,
        status_host=given.status_host,
        status_port=given.status_port,
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        status_ca=given.status_ca or given.tls_cert,
        insecure_status=given.insecure_status,
        metrics_host=given.metrics_host,
        metrics_port=given.metrics_port,
        lease_namespace=given.lease_namespace,
        lease_name=given.lease_name,
        identity=given.identity or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        progress_interval=given.progress_interval,
        resync=given.resync,
        retry_backoff=given.retry_backoff,
        patience=given.patience,
        stalled_after=given.stalled_after,
        gpu_hour_usd=prices,
        shared=shared if confined else None,
        quota_groups=groups,
        workers=given.workers,
        log_level=given.log_level,
    )
