"""From a stage to the manifests of its children: pure functions, checked against golden files."""

from fabula_operator.render.job import job
from fabula_operator.render.launch import Launch, RunIdentity, WorkerSettings
from fabula_operator.render.names import child_name
from fabula_operator.render.pytorch_job import pytorch_job
from fabula_operator.render.ranks_service import ranks_service
from fabula_operator.render.status_ca import status_ca

__all__ = [
    "Launch", "RunIdentity", "WorkerSettings", "child_name", "job", "manifest", "pytorch_job", "ranks_service",
    "status_ca",
]  # fmt: skip


def manifest(launch: Launch, settings: WorkerSettings) -> dict[str, object]:
    """The child that carries out a launch: a Job, or a PyTorchJob where the launch says so."""
    return pytorch_job(launch, settings) if launch.backend == "PyTorchJob" else job(launch, settings)
