"""Pods: defaults, what admission adds on creation, and the few fields that may change afterwards."""

import copy
import secrets
from typing import Any

from fabula_local.apiserver.errors import ApiError
from fabula_local.apiserver.strategies.base import Cluster, Object, Strategy
from fabula_local.apiserver.strategies.pod_spec import default_pod_spec
from fabula_local.apiserver.strategies.rules.pods import pod_spec_rules
from fabula_local.schema.errors import FieldError, forbidden

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105
_EVICTION_SECONDS = 300


class PodStrategy(Strategy):
    """core/v1 Pod."""

    def __init__(self) -> None:
        super().__init__(counts_generation=True)

    def default(self, obj: Object) -> None:
        """Pod defaults: those of its spec, requests from limits, and service links."""
        if not isinstance(spec := obj.get("spec"), dict):
            return
        default_pod_spec(spec)
        spec.setdefault("enableServiceLinks", True)
        for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
            resources = container.get("resources") or {}
            if limits := resources.get("limits"):
                resources["requests"] = {**limits, **(resources.get("requests") or {})}

    def prepare_create(self, obj: Object, cluster: Cluster) -> None:
        """Admission of a new pod: service account and its token, priority, tolerations, and the first status."""
        spec = obj.get("spec") or {}
        _admit_service_account(obj, spec, cluster)
        _admit_priority(obj, spec, cluster)
        _add_tolerations(spec)
        obj["status"] = {"phase": "Pending", "qosClass": _quality_of_service(spec)}

    def validate(self, obj: Object) -> list[FieldError]:
        """A spec that a node can run."""
        spec = obj.get("spec") or {}
        errors = list(pod_spec_rules(spec, "spec"))
        if spec.get("nodeName") and spec.get("schedulingGates"):
            errors.append(forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
        return errors

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        """Only images, deadline, grace period, tolerations and scheduling gates may change."""
        if _fixed(new["spec"]) == _fixed(old["spec"]):
            return []
        return [
            forbidden(
                "spec",
                "pod updates may not change fields other than `spec.containers[*].image`,"
                "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
                "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
                "(allow it to be set to 1 if it was previously negative)",
            )
        ]


def _fixed(spec: Object) -> Object:
    rest = {key: value for key, value in spec.items() if key not in ("activeDeadlineSeconds", "tolerations")}
    gates = rest.pop("schedulingGates", None)
    if gates:
        for key in ("nodeSelector", "affinity"):
            rest.pop(key, None)
    for key in ("containers", "initContainers"):
        rest[key] = [{**item, "image": "", "imagePullPolicy": ""} for item in rest.get(key) or ()]
    rest.pop("ephemeralContainers", None)
    return rest


def _admit_service_account(obj: Object, spec: Object, cluster: Cluster) -> None:
    namespace = obj["metadata"]["namespace"]
    name = spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = name
    account = cluster.lookup("serviceaccounts", namespace, name)
    if account is None:
        raise ApiError(
            403,
            "Forbidden",
            f'pods "{_called(obj)}" is forbidden: error looking up service account {namespace}/{name}: '
            f'serviceaccount "{name}" not found',
            {"name": _called(obj), "kind": "pods"},
        )
    automount = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
    if automount is False:
        return
    if secrets_for_pull := account.get("imagePullSecrets"):
        spec.setdefault("imagePullSecrets", copy.deepcopy(secrets_for_pull))
    _mount_token(spec)


def _called(obj: Object) -> str:
    """How admission speaks of a new pod: a name that is to be generated is not there yet."""
    return str(obj["metadata"].get("generateName") or obj["metadata"]["name"])


def _mount_token(spec: Object) -> None:
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    bare = [
        container
        for container in containers
        if all(mount.get("mountPath") != _TOKEN_PATH for mount in container.get("volumeMounts") or ())
    ]
    if not bare:
        return
    volume = "kube-api-access-" + "".join(secrets.choice(_ALPHABET) for _ in range(5))
    for container in bare:
        mount = {"name": volume, "readOnly": True, "mountPath": _TOKEN_PATH}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
    spec["volumes"] = [*(spec.get("volumes") or ()), _token_volume(volume)]


def _token_volume(name: str) -> Object:
    namespace_file = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources: list[Any] = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace_file]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}


def _admit_priority(obj: Object, spec: Object, cluster: Cluster) -> None:
    name = spec.get("priorityClassName")
    if name in ("system-node-critical", "system-cluster-critical"):
        spec["priority"] = 2000001000 if name == "system-node-critical" else 2000000000
    elif name:
        priority_class = cluster.lookup("priorityclasses.scheduling.k8s.io", "", name)
        if priority_class is None:
            pod = _called(obj)
            raise ApiError(
                403,
                "Forbidden",
                f'pods "{pod}" is forbidden: no PriorityClass with name {name} was found',
                {"name": pod, "kind": "pods"},
            )
        spec["priority"] = priority_class.get("value", 0)
        spec["preemptionPolicy"] = priority_class.get("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _add_tolerations(spec: Object) -> None:
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(
            item.get("key") in (key, None) and item.get("effect") in ("NoExecute", None) for item in tolerations
        ):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _EVICTION_SECONDS}
            )


def _quality_of_service(spec: Object) -> str:
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    every = [container.get("resources") or {} for container in containers]
    if not any(item.get("requests") or item.get("limits") for item in every):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= set(item.get("limits") or ())
        and all((item.get("requests") or {}).get(key) == value for key, value in item["limits"].items())
        for item in every
    )
    return "Guaranteed" if guaranteed else "Burstable"
