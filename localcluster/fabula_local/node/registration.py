"""The node's own object and its Lease: that it is there, what it offers, that it is alive."""

import asyncio
import logging
import os
import platform
from typing import Any

from fabula_local import timestamps
from fabula_local.client import Api, ApiError
from fabula_local.controllers.conditions import with_condition
from fabula_local.kinds import LEASE, NAMESPACE, NODE, Obj
from fabula_local.node.devices import GPU
from fabula_local.node.settings import NodeSettings, machine_memory

log = logging.getLogger("fabula.local.node")

LEASE_NAMESPACE = "kube-node-lease"
HEARTBEAT_SECONDS = 10.0
LEASE_SECONDS = 40
MAX_PODS = 110
NOT_READY = "node.kubernetes.io/not-ready"


def node_object(settings: NodeSettings, old: Obj | None, *, kubelet_port: int, ready: bool) -> Obj:
    """The Node object that the node wants to see. Pure but for the machine's own facts."""
    cpus = settings.cpus if settings.cpus is not None else os.cpu_count() or 1
    memory = settings.memory_bytes if settings.memory_bytes is not None else machine_memory()
    offered = {"cpu": f"{int(cpus * 1000)}m", "memory": f"{memory // 1024}Ki", "pods": str(MAX_PODS)}
    if settings.gpus:
        offered[GPU] = str(settings.gpus)
    meta = (old or {}).get("metadata") or {}
    status = (old or {}).get("status") or {}
    labels: dict[str, Any] = {
        **(meta.get("labels") or {}),
        "kubernetes.io/hostname": settings.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "node.kubernetes.io/instance-type": "process",
    }
    conditions = list(status.get("conditions") or [])
    for name, message in (("MemoryPressure", "sufficient memory"), ("DiskPressure", "no disk pressure")):
        conditions = with_condition(conditions, name, "False", f"KubeletHas{_reason(name)}", message, timestamps.now())
    reason, message = ("KubeletReady", "process node is ready") if ready else ("NodeShutdown", "node is shut down")
    conditions = with_condition(conditions, "Ready", "True" if ready else "False", reason, message, timestamps.now())
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {**meta, "name": settings.name, "labels": labels},
        "spec": (old or {}).get("spec") or {},
        "status": {
            **status,
            "capacity": offered,
            "allocatable": offered,
            # No Hostname: an API server dials that first, and nothing resolves the name of this node.
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
            "conditions": conditions,
            "nodeInfo": {
                "architecture": labels["kubernetes.io/arch"],
                "operatingSystem": "linux",
                "kernelVersion": platform.release(),
                "osImage": "process node",
                "containerRuntimeVersion": "process://1",
                "kubeletVersion": "v1.37.0-fabula",
                "kubeProxyVersion": "",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        },
    }


def without_not_ready(node: Obj) -> Obj | None:
    """The Node without the taint that an API server gives to each new one; None where it has none.

    The node controller of a kube-controller-manager clears it once the node is ready. Where none runs, nobody does, and
    no scheduler would ever bind a pod here.
    """
    spec = node.get("spec") or {}
    taints = spec.get("taints") or []
    left = [taint for taint in taints if taint.get("key") != NOT_READY]
    if len(left) == len(taints):
        return None
    kept = {key: value for key, value in spec.items() if key != "taints"}
    return {**node, "spec": {**kept, "taints": left} if left else kept}


def _reason(condition: str) -> str:
    return {"MemoryPressure": "SufficientMemory", "DiskPressure": "NoDiskPressure"}[condition]


async def register(api: Api, settings: NodeSettings, *, kubelet_port: int, ready: bool = True) -> None:
    """Create the Node or bring it up to date; writes nothing if it is."""
    for _ in range(5):
        old = await api.find(NODE, settings.name)
        wanted = node_object(settings, old, kubelet_port=kubelet_port, ready=ready)
        try:
            if old is None:
                old = await api.create(NODE, wanted)
            elif old["metadata"].get("labels") != wanted["metadata"]["labels"]:
                old = await api.replace(NODE, {**wanted, "status": old.get("status") or {}})
            if (old.get("status") or {}) != wanted["status"]:
                old = await api.replace(NODE, {**old, "status": wanted["status"]}, "status")
            if ready and (left := without_not_ready(old)) is not None:
                await api.replace(NODE, left)
        except ApiError as error:
            if not error.conflict:
                raise
            continue
        return
    raise ApiError(409, "Conflict", f"node {settings.name} keeps changing; it could not be registered")


async def heartbeat(api: Api, name: str) -> None:
    """Renew the node's Lease until cancelled. It is the only thing that an idle node writes."""
    if await api.find(NAMESPACE, LEASE_NAMESPACE) is None:
        try:
            await api.create(NAMESPACE, {"metadata": {"name": LEASE_NAMESPACE}})
        except ApiError as error:
            if not error.already_exists:
                raise
    while True:
        try:
            await _renew(api, name)
        except (ApiError, OSError) as error:
            log.warning("heartbeat failed: %s", error)
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def _renew(api: Api, name: str) -> None:
    moment = timestamps.rfc3339_micro(timestamps.now())
    spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": moment}
    try:
        await api.patch(LEASE, name, LEASE_NAMESPACE, {"spec": spec})
    except ApiError as error:
        if not error.not_found:
            raise
        await api.create(LEASE, {"metadata": {"name": name, "namespace": LEASE_NAMESPACE}, "spec": spec})
