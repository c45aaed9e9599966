"""Settings of a process node."""

import os
from dataclasses import dataclass
from pathlib import Path


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What one node offers and where it keeps its pods."""

    state_dir: Path
    """Pods' folders, logs and volumes. One node at a time may use it."""
    name: str = "laptop"
    cpus: float | None = None
    """Cores to offer; all by default. Nothing enforces it: it only limits how many pods are taken."""
    memory_bytes: int | None = None
    """Memory to offer; all by default."""
    gpus: int = 0
    """nvidia.com/gpu to offer. They need not exist: a pod sees their numbers in CUDA_VISIBLE_DEVICES."""
    pass_env: tuple[str, ...] = ()
    """Names of variables that every container inherits from the node."""
    bind: bool = True
    """Whether to bind pending pods to this node. False where a scheduler does that."""
    crash_loop_seconds: float = 1.0
    """Pause before a second restart of a container; doubled with each further one (kubelet: 10 s)."""
    serve_logs: bool = False
    """Whether to serve logs as a kubelet does, for API servers that cannot read them from the state directory."""
    shutdown_grace_seconds: float = 10.0
    """Longest time that pods get to end when the node stops together with them."""

    @property
    def pods_dir(self) -> Path:
        """Folder of the pods' folders."""
        return self.state_dir / "pods"
