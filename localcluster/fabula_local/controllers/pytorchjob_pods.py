"""Pods and Services of a PyTorchJob, as the Kubeflow training operator makes them. Pure."""

import copy

from fabula_local.kinds import PYTORCH_JOB, Obj, controller_reference

PREFIX = "training.kubeflow.org"
CONTAINER = "pytorch"
PORT_NAME = "pytorchjob-port"
DEFAULT_PORT = 23456
TYPES = ("Master", "Worker")


def replicas(job: Obj) -> dict[str, int]:
    """Number of pods of each replica type that the job has."""
    specs = job["spec"]["pytorchReplicaSpecs"]
    return {kind: int(specs[kind].get("replicas", 1)) for kind in TYPES if kind in specs}


def pod_name(job: Obj, kind: str, index: int) -> str:
    """Name of the pod and of its Service."""
    return f"{job['metadata']['name']}-{kind.lower()}-{index}"


def labels(job: Obj, kind: str, index: int) -> dict[str, str]:
    """Labels of one replica; they are also its Service's selector."""
    replica_labels = {
        f"{PREFIX}/job-name": job["metadata"]["name"],
        f"{PREFIX}/operator-name": "pytorchjob-controller",
        f"{PREFIX}/replica-type": kind.lower(),
        f"{PREFIX}/replica-index": str(index),
    }
    if kind == "Master" or ("Master" not in replicas(job) and index == 0):
        replica_labels[f"{PREFIX}/job-role"] = "master"
    return replica_labels


def master_port(job: Obj) -> int:
    """The port that the first replica's container names pytorchjob-port; 23456 by default."""
    specs = job["spec"]["pytorchReplicaSpecs"]
    first = specs.get("Master") or specs["Worker"]
    for container in first["template"]["spec"]["containers"]:
        for port in container.get("ports") or ():
            if container["name"] == CONTAINER and port.get("name") == PORT_NAME:
                return int(port["containerPort"])
    return DEFAULT_PORT


def render_service(job: Obj, kind: str, index: int) -> Obj:
    """The headless Service that gives a replica its name."""
    port = master_port(job)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": pod_name(job, kind, index),
            "namespace": job["metadata"]["namespace"],
            "labels": labels(job, kind, index),
            "ownerReferences": [controller_reference(job, PYTORCH_JOB)],
        },
        "spec": {
            "clusterIP": "None",
            "selector": labels(job, kind, index),
            "ports": [{"name": PORT_NAME, "port": port, "protocol": "TCP", "targetPort": port}],
        },
    }


def render_pod(job: Obj, kind: str, index: int) -> Obj:
    """The pod of one replica."""
    spec = job["spec"]["pytorchReplicaSpecs"][kind]
    template = copy.deepcopy(spec["template"])
    meta = template.get("metadata") or {}
    policy = spec.get("restartPolicy", "OnFailure")
    # ExitCode is the job's own policy: the pod ends, and the controller decides.
    template["spec"]["restartPolicy"] = "Never" if policy == "ExitCode" else policy
    env = replica_env(job, kind, index)
    for container in template["spec"]["containers"]:
        declared = {entry["name"] for entry in container.get("env") or ()}
        added = [{"name": name, "value": value} for name, value in env.items() if name not in declared]
        container["env"] = [*(container.get("env") or ()), *added]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(job, kind, index),
            "namespace": job["metadata"]["namespace"],
            "labels": {**(meta.get("labels") or {}), **labels(job, kind, index)},
            "annotations": dict(meta.get("annotations") or {}),
            "ownerReferences": [controller_reference(job, PYTORCH_JOB)],
        },
        "spec": template["spec"],
    }


def replica_env(job: Obj, kind: str, index: int) -> dict[str, str]:
    """Rendezvous variables: the older names for torch.distributed, and PET_* for torchrun."""
    counts = replicas(job)
    nodes = sum(counts.values())
    per_node = str(job["spec"].get("nprocPerNode") or "1")
    rank = index + (1 if kind == "Worker" and "Master" in counts else 0)
    first = "Master" if "Master" in counts else "Worker"
    address, port = pod_name(job, first, 0), str(master_port(job))
    # "auto", "gpu" and "cpu" are resolved by torchrun on the spot, so the world's size is not known here.
    world = nodes * int(per_node) if per_node.isdigit() else nodes
    return {
        "PYTHONUNBUFFERED": "1",
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "WORLD_SIZE": str(world),
        "RANK": str(rank),
        "PET_NNODES": str(nodes),
        "PET_NPROC_PER_NODE": per_node,
        "PET_NODE_RANK": str(rank),
        "PET_MASTER_ADDR": address,
        "PET_MASTER_PORT": port,
    }
