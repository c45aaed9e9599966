"""Settings of the operator process: a field is a command-line option, and an environment variable FABULA_<OPTION>."""

from __future__ import annotations

import argparse
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from fabula_api.uri import resolve_uri
from fabula_kube.quantity import parse_quantity
from fabula_operator.kube.client import SERVICE_ACCOUNT
from fabula_operator.plan.money.quota_groups import QuotaGroup
from fabula_operator.render.launch import WorkerSettings
from fabula_operator.render.worker_defaults import WorkerDefaults
from fabula_operator.settings_files import defaults_in, groups_in, places, prices

PROGRAM = "fabula-operator"


def _identity() -> str:
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


class Settings(BaseModel):
    """Everything the process is told. Descriptions are what `--help` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: Path | None = Field(None, description="kubeconfig file; without it, the cluster this pod runs in")
    service_account: Path = Field(SERVICE_ACCOUNT, description="folder with this pod's ServiceAccount token")
    namespace: str | None = Field(None, description="look after one namespace only")
    artifact_root: str = Field(min_length=1, description="URI below which artifacts lie, file:///... or s3://...")
    artifact_claim: str | None = Field(
        None, description="PersistentVolumeClaim to mount at the path of a file:// artifact root"
    )
    status_host: str = Field("0.0.0.0", description="address the status server listens on")  # noqa: S104 - pods reach it
    status_port: int = Field(8443, description="port of the status server")
    status_url: str = Field(min_length=1, description="https address of the status server as pods reach it")
    tls_cert: Path | None = Field(None, description="certificate of the status server, PEM")
    tls_key: Path | None = Field(None, description="its private key, PEM")
    status_ca: Path | None = Field(
        None, description="certificate authority that pods check it against, PEM; default: the certificate"
    )
    image_cpu: str = Field("fabula-cpu", description="image of workers without a GPU")
    image_gpu: str = Field("fabula-gpu", description="image of workers with GPUs")
    image_vllm: str = Field("fabula-gpu-vllm", description="image of workers that answer with vLLM")
    workers_file: Annotated[WorkerDefaults, BeforeValidator(defaults_in)] = Field(
        WorkerDefaults(), description="YAML file with what each worker pod gets beside what its run asks for"
    )
    worker_metrics_port: int = Field(9400, description="port of the workers' Prometheus metrics; 0 turns them off")
    worker_grace: int = Field(60, description="seconds between SIGTERM and SIGKILL of a worker")
    metrics_host: str = Field("0.0.0.0", description="address of /metrics, /healthz and /readyz")  # noqa: S104 - scraped
    metrics_port: int = Field(8080, description="port of /metrics, /healthz and /readyz; 0 picks a free one")
    lease_namespace: str = Field("default", description="namespace of the lease")
    lease_name: str = Field("fabula-operator", description="name of the lease that one of several operators holds")
    identity: str = Field(
        default_factory=_identity, description="holder's name in the lease; default: host name and a random part"
    )
    progress_interval: float = Field(10.0, description="least seconds between two writes of one run's progress")
    resync: float = Field(60.0, description="seconds between two full reads")
    retry_backoff: float = Field(
        10.0, description="seconds before a group's second attempt, doubled for each further one"
    )
    patience: float = Field(
        60.0, description="seconds until a child without pods, or a pod that does not start, is asked why"
    )
    stalled_after: float = Field(
        900.0, description="seconds of waiting, or without any report, until a run is called stalled"
    )
    gpu_hour_usd: Annotated[dict[str, float], BeforeValidator(prices)] = Field(
        {}, description="dollars for a GPU hour by product: NVIDIA-A100-SXM4-80GB=1.8,NVIDIA-H200=3.5"
    )
    quota_groups: Annotated[tuple[QuotaGroup, ...], BeforeValidator(groups_in)] = Field(
        (), description="YAML file of quotas that namespaces share; without it, a group is a namespace's"
    )
    confine: Literal["auto", "on", "off"] = Field(
        "auto", description="on: runs read and write below their namespace's folder only; auto: without --namespace"
    )
    shared_prefixes: Annotated[tuple[str, ...], BeforeValidator(places)] = Field(
        (), description="comma-separated URIs or paths that runs of every namespace may read as well"
    )
    workers: int = Field(8, description="runs looked at side by side")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    insecure_status: bool = Field(False, description="serve reports over plain HTTP; for tests only")

    @model_validator(mode="after")
    def _together(self) -> Settings:
        if not self.insecure_status and not (self.tls_cert and self.tls_key):
            raise ValueError("--tls-cert and --tls-key are required: tokens are never taken over plain HTTP")
        for prefix in self.shared_prefixes:
            try:
                resolve_uri(prefix, self.artifact_root)
            except ValueError as error:
                raise ValueError(f"--shared-prefixes: {error}") from error
        return self

    @property
    def certificate_files(self) -> tuple[Path, Path, Path] | None:
        """The status server's certificate, key and authority; None where reports come over plain HTTP."""
        if self.insecure_status or self.tls_cert is None or self.tls_key is None:
            return None
        return self.tls_cert, self.tls_key, self.status_ca or self.tls_cert

    @property
    def shared(self) -> tuple[str, ...] | None:
        """Prefixes that runs of every namespace may read; None where runs are not confined to their namespace."""
        confined = self.confine == "on" or (self.confine == "auto" and not self.namespace)
        return self.shared_prefixes if confined else None

    @property
    def scratch_bytes(self) -> float | None:
        """Most that a pod may keep on its node's disk. None where no file says what workers get, as on a laptop, whose
        node bounds no folder."""
        if "workers_file" not in self.model_fields_set:
            return None
        return float(parse_quantity(self.workers_file.scratch_limit))

    @cached_property
    def worker(self) -> WorkerSettings:
        """How workers are run."""
        return WorkerSettings(
            defaults=self.workers_file,
            artifact_root=self.artifact_root,
            status_url=self.status_url,
            image_cpu=self.image_cpu,
            image_gpu=self.image_gpu,
            image_vllm=self.image_vllm,
            metrics_port=self.worker_metrics_port or None,
            artifact_claim=self.artifact_claim,
            confined=self.shared is not None,
            grace_seconds=self.worker_grace,
        )


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """The command line; what is not given comes from the environment. Values are text, which `Settings` reads."""
    command_line = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Turns DatasetBuilds, FineTuneRuns and EvalRuns into Jobs and tells on them how far they are.",
        epilog="Every option can be set by an environment variable: --status-url by FABULA_STATUS_URL.",
    )
    for name, field in Settings.model_fields.items():
        given = environment.get(f"FABULA_{name.upper()}")
        if field.annotation is bool:
            command_line.add_argument(
                _option(name), action="store_const", const="true", default=given, help=field.description
            )
            continue
        shown = isinstance(field.default, str | int | float | Path)
        default = f" [default: {field.default}]" if shown else ""
        command_line.add_argument(_option(name), default=given, help=f"{field.description}{default}".replace("%", "%%"))
    return command_line


def read(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the command line and the environment. Ends the process with a message when one is missing."""
    command_line = parser(os.environ if environment is None else environment)
    # An empty value is none: a chart writes what is not given as an empty string.
    given = {name: value for name, value in vars(command_line.parse_args(arguments)).items() if value}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        command_line.error(_in_words(error, given))


def _in_words(error: ValidationError, given: Mapping[str, str]) -> str:
    first = error.errors(include_url=False)[0]
    said = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return said
    name = str(first["loc"][0])
    if first["type"] == "missing":
        return f"{_option(name)} is required"
    return f"{_option(name)}: {said}" if first["type"] == "value_error" else f"{_option(name)}: {given[name]!r}: {said}"
