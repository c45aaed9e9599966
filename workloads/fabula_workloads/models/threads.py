"""How many CPU threads a pod's torch may use, so that pods of one machine do not fight over its cores."""

from __future__ import annotations

import os

from fabula_api.shared_spec import Resources


def cpu_threads(resources: Resources, pods: int) -> int:
    """The pod's CPU request or limit where it has one, else an equal share of the machine for `pods` pods; at least 1.

    OMP_NUM_THREADS in the environment wins.
    """
    if named := os.environ.get("OMP_NUM_THREADS", ""):
        return max(1, int(named)) if named.isdigit() else 1
    if asked := resources.limits.get("cpu") or resources.requests.get("cpu"):
        cores = float(asked[:-1]) / 1000 if asked.endswith("m") else float(asked)
        return max(1, round(cores))
    return max(1, len(os.sched_getaffinity(0)) // pods)


def limit_threads(resources: Resources, pods: int) -> None:
    """Tell torch of `cpu_threads`."""
    import torch

    torch.set_num_threads(cpu_threads(resources, pods))
