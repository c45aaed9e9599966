"""What each built-in kind adds to the common life of an object: defaults, generated fields, admission, immutability."""

from fabula_local.apiserver.strategies.access import BindingStrategy
from fabula_local.apiserver.strategies.base import Strategy
from fabula_local.apiserver.strategies.core import (
    ConfigMapStrategy,
    EventStrategy,
    LeaseStrategy,
    NamespaceStrategy,
    PersistentVolumeClaimStrategy,
    PriorityClassStrategy,
    SecretStrategy,
)
from fabula_local.apiserver.strategies.definitions import DefinitionStrategy
from fabula_local.apiserver.strategies.jobs import JobStrategy
from fabula_local.apiserver.strategies.pods import PodStrategy
from fabula_local.apiserver.strategies.services import ServiceStrategy
from fabula_local.apiserver.strategies.workloads import DeploymentStrategy, ReplicaSetStrategy
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
    "deployments.apps": DeploymentStrategy(),
    "replicasets.apps": ReplicaSetStrategy(),
    "events": EventStrategy(),
    "leases.coordination.k8s.io": LeaseStrategy(),
    "priorityclasses.scheduling.k8s.io": PriorityClassStrategy(),
    "customresourcedefinitions.apiextensions.k8s.io": DefinitionStrategy(),
    f"rolebindings.{_RBAC}": BindingStrategy(),
    f"clusterrolebindings.{_RBAC}": BindingStrategy(),
}
_PLAIN = Strategy()
_CUSTOM = Strategy(counts_generation=True)


def strategy_of(resource: Resource) -> Strategy:
    """The rules of a kind; kinds without rules of their own share the plain ones."""
    if resource.custom:
        return _CUSTOM
    return _STRATEGIES.get(resource.group_resource, _PLAIN)


__all__ = ["Strategy", "strategy_of"]
