"""What a cluster has of what runs need, judged from what was seen of it: each line is OK, or says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from fabula_api.base import GROUP
from fabula_api.crd import crd
from fabula_api.gpu_products import gpu
from fabula_api.recipes import API_KINDS
from fabula_api.uri import FILE
from fabula_cli.checks import Check, Unseen
from fabula_cli.model_cache import CacheSeen, judge_cache
from fabula_cli.worker_secret import SecretSeen, judge_secret
from fabula_kube.quantity import parse_quantity
from fabula_operator.kube.lease import DURATION_SECONDS
from fabula_operator.render import WorkerSettings

GPU, PRODUCT = "nvidia.com/gpu", "nvidia.com/gpu.product"


@dataclass(frozen=True, slots=True)
class Right:
    """Something that somebody may or may not do."""

    verb: str
    group: str
    resource: str
    allowed: bool

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen of a cluster, on the wire's terms."""

    namespace: str
    crds: dict[str, dict[str, Any]] | Unseen = field(default_factory=dict)
    """Every CustomResourceDefinition by its name."""
    user_rights: Sequence[Right] | Unseen = ()
    account: str | None = None
    """The operator's ServiceAccount, as `namespace/name`."""
    operator_rights: Sequence[Right] | Unseen = ()
    leases: Sequence[dict[str, Any]] | Unseen = ()
    deployments: Sequence[dict[str, Any]] | Unseen = ()
    nodes: Sequence[dict[str, Any]] | Unseen = ()
    local_queues: Sequence[str] | Unseen = ()
    monitors: Sequence[str] | Unseen = ()
    """ServiceMonitors and PodMonitors of the installation, each with its kind before its name."""
    secret: SecretSeen | Unseen | None = None
    """None where the installation names none."""
    quotas: Sequence[dict[str, Any]] | Unseen = ()
    """ResourceQuotas of the namespace."""
    cache: CacheSeen | Unseen | None = None
    """None where no Deployment of an operator is there to tell of it, as on a laptop."""
    worker: WorkerSettings | None = None
    """How the installation runs its workers; None where that was not found out."""
    root: str | None = None
    store_problem: str | None = None
    """Why the store was not read and written from here; None when it was."""
    recipes: Sequence[str] = ()
    """Names of those that this command has."""
    broken_recipes: Sequence[str] = ()
    """A sentence on each that is installed beside it and cannot be used."""


def judge(facts: Facts, now: datetime) -> list[Check]:
    """Every line, from what was seen."""
    return [
        *_kinds(facts), *_recipes(facts), _user(facts), _operator(facts, now), _operator_rights(facts), _store(facts),
        *_for_workers(facts), _quotas(facts), _gpus(facts), _trainer(facts), _kueue(facts), _prometheus(facts),
    ]  # fmt: skip


def fields(schema: dict[str, Any], path: str = "") -> set[str]:
    """Every field of a schema, as a dotted path."""
    paths = set()
    for name, below in schema.get("properties", {}).items():
        inner = below.get("items", below) if below.get("type") == "array" else below
        paths |= {f"{path}{name}"} | fields(inner, f"{path}{name}.")
    return paths


def _kinds(facts: Facts) -> list[Check]:
    if isinstance(facts.crds, Unseen):
        return [Check("kinds", "NOTE", f"CustomResourceDefinitions cannot be seen ({facts.crds.why})")]
    checks = []
    for kind in API_KINDS:
        name = f"{API_KINDS[kind].plural}.{GROUP}"
        served = facts.crds.get(name)
        if served is None:
            checks.append(Check(kind, "MISSING", "is not installed: helm install with crds.enabled, or apply crds/"))
            continue
        ours = crd(kind)["spec"]["versions"][0]
        version = next((offered for offered in served["spec"]["versions"] if offered["name"] == ours["name"]), None)
        if version is None or not version.get("served"):
            checks.append(Check(kind, "MISSING", f"version {ours['name']} is not served: upgrade the CRDs"))
            continue
        lacking = sorted(
            fields(ours["schema"]["openAPIV3Schema"]) - fields(version["schema"]["openAPIV3Schema"]) - {"metadata"}
        )
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            words = f"is older than this command: it lacks {lacking[0]}{more}. Upgrade the CRDs before the operator"
            checks.append(Check(kind, "MISSING", words))
        else:
            checks.append(Check(kind, "OK", f"{ours['name']} is served"))
    return checks


def _recipes(facts: Facts) -> list[Check]:
    """Of this command's own installation; the operator's log says the same of its image."""
    return [Check("recipes", "MISSING", problem) for problem in facts.broken_recipes] + [
        Check("recipes", "OK", f"this command has {', '.join(facts.recipes) or 'none'}")
    ]


def _rights(about: str, rights: Sequence[Right], whose: str, todo: str) -> Check:
    lacking = [str(right) for right in rights if not right.allowed]
    if lacking:
        return Check(about, "MISSING", f"{whose} may not {', '.join(lacking)}: {todo}")
    return Check(about, "OK", f"{whose} may do all of {len(rights)} that were asked for")


def _user(facts: Facts) -> Check:
    about = "your rights"
    if isinstance(facts.user_rights, Unseen):
        return Check(about, "NOTE", f"could not be asked for ({facts.user_rights.why})")
    todo = f"ask for a RoleBinding in namespace {facts.namespace}"
    return _rights(about, facts.user_rights, f"you in {facts.namespace}", todo)


def _operator(facts: Facts, now: datetime) -> Check:
    about = "operator"
    if isinstance(facts.leases, Unseen):
        return Check(about, "NOTE", f"its Lease cannot be seen ({facts.leases.why})")
    if not facts.leases:
        return Check(about, "MISSING", "no operator ever held the Lease: helm install, or `fabula up` on a laptop")
    newest = max(facts.leases, key=lambda deployment: str(deployment["spec"].get("renewTime") or ""))
    holder, renewed = newest["spec"].get("holderIdentity"), str(newest["spec"].get("renewTime") or "")
    where = f"{newest['metadata']['namespace']}/{newest['metadata']['name']}"
    if not holder or not renewed:
        return Check(about, "MISSING", f"nobody holds the Lease {where}: is its Deployment scaled to 0?")
    silent = (now - datetime.fromisoformat(renewed.replace("Z", "+00:00"))).total_seconds()
    # Clocks of machines differ; a leader that lost its Lease stays away for longer than that.
    if silent > 10 * DURATION_SECONDS:
        words = f"{holder} last renewed the Lease {where} {silent:.0f} s ago: look at the operator's pods and log"
        return Check(about, "MISSING", words)
    said = f"{holder} holds the Lease {where}"
    if isinstance(facts.deployments, Unseen) or not facts.deployments:
        return Check(about, "OK", said)
    deployment = facts.deployments[0]
    count, wanted = (deployment.get("status") or {}).get("readyReplicas") or 0, deployment["spec"].get("replicas", 1)
    if count < wanted:
        todo = (
            f"see kubectl -n {deployment['metadata']['namespace']} get pods. One that is not ready takes nothing over"
        )
        return Check(about, "NOTE", f"{said}, but {count} of {wanted} are ready: {todo}")
    return Check(about, "OK", f"{said}; {count} of {wanted} are ready")


def _operator_rights(facts: Facts) -> Check:
    about = "operator's rights"
    if facts.account is None:
        return Check(about, "NOTE", "its ServiceAccount was not found, so its rights were not asked for")
    if isinstance(facts.operator_rights, Unseen):
        return Check(about, "NOTE", f"you may not ask for others' rights ({facts.operator_rights.why})")
    todo = "apply the chart's roles again (rbac: true)"
    return _rights(about, facts.operator_rights, f"ServiceAccount {facts.account}", todo)


def _store(facts: Facts) -> Check:
    if facts.root is None:
        return Check("store", "NOTE", "where it is was not found out: give --artifact-root")
    if facts.store_problem is None:
        return Check("store", "OK", f"{facts.root} can be read and written from here")
    if facts.root.startswith(FILE):
        words = f"{facts.root} was not tried from here ({facts.store_problem}); only pods reach a claim of the cluster"
        return Check("store", "NOTE", words)
    return Check("store", "MISSING", f"{facts.store_problem}: check the bucket, its policy and your credentials")


def _for_workers(facts: Facts) -> list[Check]:
    """What an installation's settings name for its workers. A laptop's operator has neither Deployment nor settings."""
    if facts.cache is None:
        return []
    return [judge_secret(facts.secret, facts.namespace), judge_cache(facts.cache, facts.namespace)]


def _gpus(facts: Facts) -> Check:
    if isinstance(facts.nodes, Unseen):
        return Check("GPUs", "NOTE", f"nodes cannot be seen ({facts.nodes.why})")
    having = gpus_of(facts)
    if not having:
        words = f"no node offers {GPU}: only runs with device cpu can start. Install NVIDIA's GPU operator"
        return Check("GPUs", "NOTE", words)
    products = {(node["metadata"].get("labels") or {}).get(PRODUCT) for node in having}
    count = sum(int(_allocatable(node)[GPU]) for node in having)
    if None in products:
        words = f"{count} on {len(having)} nodes, but a node has no label {PRODUCT}, by which topology.product selects"
        return Check("GPUs", "MISSING", f"{words}: install GPU feature discovery, or set the label")
    unknown = sorted(product for product in products if product and gpu(product) is None)
    if unknown:
        words = f"{count}; the memory of {', '.join(unknown)} is not known, so preflight does not compare it"
        return Check("GPUs", "NOTE", words)
    return Check("GPUs", "OK", f"{count} on {len(having)} nodes: {', '.join(sorted(filter(None, products)))}")


def _quotas(facts: Facts) -> Check:
    about = "quotas"
    if isinstance(facts.quotas, Unseen):
        return Check(about, "NOTE", f"ResourceQuotas cannot be seen ({facts.quotas.why})")
    if not facts.quotas:
        return Check(about, "OK", f"no ResourceQuota bounds namespace {facts.namespace}")
    spent = []
    for quota in facts.quotas:
        status = quota.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        spent += [
            f"{quota['metadata']['name']}: {used[name]} of {hard[name]} {name}"
            for name in sorted(hard)
            if name in used and _amount(used[name]) >= _amount(hard[name])
        ]
    if spent:
        words = "so pods that ask for more are refused (FailedCreate, exceeded quota). Finish or suspend runs, or"
        return Check(about, "MISSING", f"{'; '.join(spent)} are used, {words} raise it")
    names = ", ".join(str(quota["metadata"]["name"]) for quota in facts.quotas)
    return Check(about, "OK", f"there is room in {names}")


def _amount(text: object) -> Decimal:
    """A quantity in its base unit."""
    return parse_quantity(str(text))


def gpus_of(facts: Facts) -> list[dict[str, Any]]:
    """The nodes that offer GPUs."""
    nodes = () if isinstance(facts.nodes, Unseen) else facts.nodes
    return [node for node in nodes if int(_allocatable(node).get(GPU, 0)) > 0]


def _allocatable(node: dict[str, Any]) -> dict[str, Any]:
    return (node.get("status") or {}).get("allocatable") or {}


def _has(facts: Facts, name: str) -> bool | None:
    return None if isinstance(facts.crds, Unseen) else name in facts.crds


def _trainer(facts: Facts) -> Check:
    about, there = "training operator", _has(facts, "pytorchjobs.kubeflow.org")
    if there is None:
        return Check(about, "NOTE", "CustomResourceDefinitions cannot be seen")
    if there:
        return Check(about, "OK", "PyTorchJobs are there; training uses them")
    return Check(about, "NOTE", "is not installed; training uses Indexed Jobs, unless spec.backend is PyTorchJob")


def _kueue(facts: Facts) -> Check:
    there = _has(facts, "clusterqueues.kueue.x-k8s.io")
    if there is None:
        return Check("Kueue", "NOTE", "CustomResourceDefinitions cannot be seen")
    if not there:
        return Check("Kueue", "NOTE", "is not installed; all runs start at once, and one with `queue` waits for it")
    if isinstance(facts.local_queues, Unseen):
        return Check("Kueue", "NOTE", f"LocalQueues cannot be seen ({facts.local_queues.why})")
    if not facts.local_queues:
        words = f"there is no LocalQueue in {facts.namespace}: make one, or leave `queue` out"
        return Check("Kueue", "MISSING", words)
    return Check("Kueue", "OK", f"LocalQueues in {facts.namespace}: {', '.join(facts.local_queues)}")


def _prometheus(facts: Facts) -> Check:
    there = _has(facts, "podmonitors.monitoring.coreos.com")
    if there is None:
        return Check("Prometheus", "NOTE", "CustomResourceDefinitions cannot be seen")
    if not there:
        return Check("Prometheus", "NOTE", "its operator is not installed; /metrics is served all the same")
    if isinstance(facts.monitors, Unseen):
        return Check("Prometheus", "NOTE", f"PodMonitors cannot be seen ({facts.monitors.why})")
    if not facts.monitors:
        words = "nothing scrapes Fabula: set monitoring.serviceMonitor.enabled and monitoring.podMonitor.enabled"
        return Check("Prometheus", "MISSING", words)
    scraped = f"scraped by {', '.join(facts.monitors)}"
    if not any(monitor.startswith("ServiceMonitor ") for monitor in facts.monitors):
        words = "but the operator, which has all figures of runs, is not: set monitoring.serviceMonitor.enabled"
        return Check("Prometheus", "MISSING", f"{scraped}, {words}")
    return Check("Prometheus", "OK", scraped)
