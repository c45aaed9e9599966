"""What an installation gives each worker pod, beside what its run asks for; read from a file at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from fabula_api.base import ObjectName, Quantity, SpecModel, Text
from fabula_api.shared_spec import Toleration

HUB_FOLDERS = ("HF_HOME", "HF_HUB_CACHE")
"""Variables that say where models of the Hub are kept."""


class Placement(SpecModel):
    """Where pods of one kind run."""

    node_selector: dict[Text, Text] = Field(default_factory=dict)
    """Labels of the nodes; a run's own selector adds to them and wins."""
    tolerations: list[Toleration] = Field(default_factory=list)
    """Taints they tolerate, beside the run's own."""

    @field_validator("tolerations", mode="before")
    @classmethod
    def _without_blanks(cls, value: object) -> object:
        """A chart writes what is not given as an empty string."""
        if not isinstance(value, list):
            return value
        return [{k: v for k, v in item.items() if v != ""} if isinstance(item, dict) else item for item in value]


class ModelCache(SpecModel):
    """Where models of the Hub are downloaded to once, for all pods: a claim or a folder of each node."""

    claim: ObjectName | None = None
    """PersistentVolumeClaim in each namespace with runs, `ReadWriteMany` where its pods run on several nodes."""
    host_path: Text | None = Field(None, pattern="^/.+")
    """Folder of each node, which user 10001 may write. PodSecurity `baseline` and `restricted` refuse it."""

    @model_validator(mode="after")
    def _one_of_both(self) -> ModelCache:
        if (self.claim is None) == (self.host_path is None):
            raise ValueError("give a claim or a hostPath, and not both")
        return self

    @property
    def source(self) -> dict[str, object]:
        """The volume's source, as a pod has it."""
        if self.claim:
            return {"persistentVolumeClaim": {"claimName": self.claim}}
        return {"hostPath": {"path": self.host_path, "type": "DirectoryOrCreate"}}


class WorkerDefaults(SpecModel):
    """Defaults of worker pods."""

    service_account_name: ObjectName | None = None
    """ServiceAccount where the run names none."""
    secret_name: ObjectName | None = None
    """Secret whose keys become environment variables where the run has no `secretRef`."""
    env: Annotated[dict[Text, str], Field(max_length=128)] = Field(default_factory=dict)
    """Environment variables of each worker; the run's own win."""
    image_pull_secrets: list[ObjectName] = Field(default_factory=list)
    """Pull Secrets, in each namespace with runs."""
    scratch_limit: Quantity = "200Gi"
    """Most that a pod may keep on its node's disk in `/scratch`; a pod above it is evicted."""
    model_cache: ModelCache | None = None
    """Cache of models; without it each pod downloads what it loads to its own `/scratch`."""
    shared_memory_limit: Quantity = "64Gi"
    """Size of `/dev/shm` in pods with GPUs, where a run names none (`topology.sharedMemory`)."""
    cpu: Placement = Field(default_factory=Placement)
    """Pods without a GPU."""
    gpu: Placement = Field(default_factory=Placement)
    """Pods with GPUs."""

    @property
    def hub_elsewhere(self) -> bool:
        """Whether models of the Hub come to the cache or to what a variable names, and not to each pod's `/scratch`."""
        return self.model_cache is not None or any(name in self.env for name in HUB_FOLDERS)


def read_defaults(path: Path) -> WorkerDefaults:
    """Read a YAML file. Raises ValueError that names file and field."""
    try:
        return WorkerDefaults.model_validate(yaml.safe_load(path.read_text()) or {})
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
