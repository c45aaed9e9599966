"""What each built-in kind adds to the common life of an object: defaults, generated fields, admission, immutability."""

from fabula_local.apiserver.strategies.access import BindingStrategy
from fabula_local.apiserver.strategies.base import Strategy
from fabula_local.apiserver.strategies.core import (
    ConfigMapStrategy,
    NamespaceStrategy,
    PersistentVolumeClaimStrategy,
    PriorityClassStrategy,
    SecretStrategy,
)
from fabula_local.apiserver.strategies.definitions import DefinitionStrategy
from fabula_local.apiserver.strategies.jobs import CronJobStrategy, JobStrategy
from fabula_local.apiserver.strategies.pods import PodStrategy
from fabula_local.apiserver.strategies.services import ServiceStrategy
from fabula_local.apiserver.strategies.workloads import DeploymentStrategy, ReplicaSetStrategy, StatefulSetStrategy
from fabula_local.resource import Resource

_RBAC = "rbac.authorization.k8s.io"
_STRATEGIES: dict[str, Strategy] = {
    "pods": PodStrategy(),
    "namespaces": NamespaceStrategy(),
    "services": ServiceStrategy(),
    "secrets": SecretStrategy(),
    "configmaps": ConfigMapStrategy(),
    "persistentvolumeclaims": PersistentVolumeClaimStrategy(),
    "jobs.batch": JobStrategy(),
    "cronjobs.batch": CronJobStrategy(),
    "deployments.apps": DeploymentStrategy(),
    "replicasets.apps": ReplicaSetStrategy(),
    "statefulsets.apps": StatefulSetStrategy(),
    "priorityclasses.scheduling.k8s.io": PriorityClassStrategy(),
    "customresourcedefinitions.apiextensions.k8s.io": DefinitionStrategy(),
    f"rolebindings.{_RBAC}": BindingStrategy(),
    f"clusterrolebindings.{_RBAC}": BindingStrategy(),
}
_PLAIN = Strategy()
_CUSTOM = Strategy(counts_generation=True)
_WITH_GENERATION = Strategy(counts_generation=True)
_COUNTED = {
    "networkpolicies.networking.k8s.io",
    "ingresses.networking.k8s.io",
    "poddisruptionbudgets.policy",
    "daemonsets.apps",
}


def strategy_of(resource: Resource) -> Strategy:
    """The rules of a kind; kinds without rules of their own share the plain ones."""
    if resource.custom:
        return _CUSTOM
    name = resource.group_resource
    return _STRATEGIES.get(name) or (_WITH_GENERATION if name in _COUNTED else _PLAIN)


__all__ = ["Strategy", "strategy_of"]
