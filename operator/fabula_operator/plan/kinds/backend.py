"""Whether a group of ranks is a PyTorchJob or an Indexed Job."""

from __future__ import annotations

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_operator.plan.seen.observed import Waiting
from fabula_operator.render.launch import Backend


def backend_of(spec: FineTuneRunSpec, status: FineTuneRunStatus, pytorch_jobs: bool) -> tuple[Backend, str] | Waiting:
    """(kind of child, sentence on why). A started run keeps what it chose, even if the CRD comes or goes meanwhile."""
    started = status.started_at is not None and status.finished_at is None
    if status.backend and started:
        return ("PyTorchJob" if status.backend.startswith("PyTorchJob") else "Job"), status.backend
    if spec.backend == "Job":
        return "Job", "Job: spec.backend asks for it"
    if spec.backend == "auto" and spec.topology.nodes > 1:
        # Its workers wait in an init container for a name that is published once the master is ready, give up after
        # three minutes, and are no pods that PodSecurity `restricted` lets in, unless its own flags are set.
        return "Job", "Job: the run has several nodes, which the training operator makes wait for each other's names"
    if pytorch_jobs:
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
