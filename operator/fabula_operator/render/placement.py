"""Where a group's pods go: near each other by a label of their nodes, told to Kueue or to the scheduler."""

from __future__ import annotations

from typing import Any

from fabula_api.fine_tune_blocks import Rdma
from fabula_operator.render.launch import Launch
from fabula_operator.render.metadata import labels
from fabula_operator.render.names import ATTEMPT, RUN_UID, STAGE

REQUIRED = "kueue.x-k8s.io/podset-required-topology"
PREFERRED = "kueue.x-k8s.io/podset-preferred-topology"
GROUP, RANKS = "kueue.x-k8s.io/podset-group-name", "ranks"
WEIGHT = 100


def topology_annotations(launch: Launch) -> dict[str, str]:
    """Kueue's topology annotations of the pods; none outside a queue, where nobody reads them."""
    required, preferred = _domains(launch)
    if launch.queue is None:
        return {}
    annotations = ({REQUIRED: required} if required else {}) | ({PREFERRED: preferred} if preferred else {})
    if annotations and launch.backend == "PyTorchJob" and launch.shards > 1:
        # Master and workers are two pod sets to Kueue; ungrouped, each would get a domain of its own.
        annotations |= {GROUP: RANKS}
    return annotations


def affinity(launch: Launch) -> dict[str, Any] | None:
    """Pod affinity of the attempt's pods to each other; None in a queue, with one pod, or without a domain."""
    required, preferred = _domains(launch)
    if launch.queue is not None or launch.shards < 2 or not (required or preferred):
        return None
    chosen = {key: value for key, value in labels(launch).items() if key in (RUN_UID, STAGE, ATTEMPT)}
    term = {"labelSelector": {"matchLabels": chosen}, "topologyKey": required or preferred}
    if required:
        return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    weighed = {"weight": WEIGHT, "podAffinityTerm": term}
    return {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [weighed]}}


def rdma_of(launch: Launch) -> Rdma | None:
    """What the group's pods need to reach each other past the kernel."""
    return launch.topology.rdma if launch.topology else None


def _domains(launch: Launch) -> tuple[str | None, str | None]:
    if launch.topology is None:
        return None, None
    return launch.topology.required_domain, launch.topology.preferred_domain
