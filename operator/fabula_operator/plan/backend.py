"""Which kind of child carries a group: PyTorchJob where the training operator is installed, else an Indexed Job."""

from __future__ import annotations

from fabula_api.fine_tune_run import FineTuneRunSpec, FineTuneRunStatus
from fabula_api.worker import Spec
from fabula_operator.plan.observed import Observed, Waiting
from fabula_operator.render.launch import Backend


def choose_backend(seen: Observed, spec: Spec) -> tuple[Backend, str | None] | Waiting:
    """(kind of child, sentence on why); the sentence is None for kinds without groups.

    A started run keeps what it chose, even if the CRD comes or goes meanwhile.
    """
    if not isinstance(spec, FineTuneRunSpec):
        return "Job", None
    status = seen.run.status
    started = status.started_at is not None and status.finished_at is None
    if isinstance(status, FineTuneRunStatus) and status.backend and started:
        return ("PyTorchJob" if status.backend.startswith("PyTorchJob") else "Job"), status.backend
    if spec.backend == "Job":
        return "Job", "Job: spec.backend asks for it"
    if seen.environment.pytorch_jobs:
        asked = (
            "spec.backend asks for it" if spec.backend == "PyTorchJob" else "the training operator's CRD is installed"
        )
        return "PyTorchJob", f"PyTorchJob: {asked}"
    if spec.backend == "PyTorchJob":
        return Waiting(
            "WaitingForTrainingOperator",
            "spec.backend is PyTorchJob, but its CRD is not installed; install the training operator or use Job",
        )
    return "Job", "Job: the training operator's CRD is not installed"
