"""What the API conventions say of built-in types and their models do not: list keys, atomic maps, defaults, enums.

Source: the markers (+listType, +patchMergeKey, +mapType, +default, +enum) and defaulting functions of k8s.io/api.
"""

from typing import Any

LIST_KEYS: dict[str, tuple[str, ...]] = {
    "ObjectMeta.ownerReferences": ("uid",),
    "PodSpec.containers": ("name",),
    "PodSpec.initContainers": ("name",),
    "PodSpec.ephemeralContainers": ("name",),
    "PodSpec.volumes": ("name",),
    "PodSpec.imagePullSecrets": ("name",),
    "PodSpec.hostAliases": ("ip",),
    "PodSpec.topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "PodSpec.schedulingGates": ("name",),
    "PodSpec.resourceClaims": ("name",),
    "Container.env": ("name",),
    "Container.ports": ("containerPort", "protocol"),
    "Container.volumeMounts": ("mountPath",),
    "Container.volumeDevices": ("devicePath",),
    "EphemeralContainer.env": ("name",),
    "EphemeralContainer.ports": ("containerPort", "protocol"),
    "EphemeralContainer.volumeMounts": ("mountPath",),
    "ResourceRequirements.claims": ("name",),
    "ServiceSpec.ports": ("port", "protocol"),
    "ServiceAccount.secrets": ("name",),
    "PodStatus.podIPs": ("ip",),
    "NodeStatus.addresses": ("type",),
}
"""Lists that are maps: server-side apply keys; the first is the strategic merge key. Every `conditions` has `type`."""

ATOMIC_CONDITIONS = frozenset(("JobStatus",))
"""Owners whose conditions merge by type in a strategic merge patch, yet have one owner in server-side apply."""

SETS = frozenset(("ObjectMeta.finalizers", "NodeSpec.podCIDRs"))

RETAIN_KEYS = frozenset(("PodSpec.volumes", "DeploymentSpec.strategy"))

ATOMIC_TYPES = frozenset(
    (
        *("LabelSelector", "ObjectReference", "LocalObjectReference", "TypedLocalObjectReference", "SecretReference"),
        *("SecretKeySelector", "ConfigMapKeySelector", "ObjectFieldSelector", "ResourceFieldSelector", "NodeSelector"),
        *("NodeSelectorTerm", "OwnerReference", "RoleRef", "Subject", "ScopeSelector", "TopologySelectorTerm"),
    )
)
ATOMIC_MAPS = frozenset(("ServiceSpec.selector", "PodSpec.nodeSelector"))

QUANTITY_MAPS = frozenset(
    (
        *("limits", "requests", "capacity", "allocatable", "hard", "used", "overhead", "allocatedResources"),
        *("default", "defaultRequest", "max", "min", "maxLimitRequestRatio"),
    )
)
"""Names of maps whose values are quantities; other maps have string values."""

BYTE_MAPS = frozenset(("Secret.data", "ConfigMap.binaryData"))
"""Maps whose values are base64."""

OPEN_MAPS = frozenset(("ManagedFieldsEntry.fieldsV1", "UserInfo.extra", "SubjectAccessReviewSpec.extra"))

UNCHECKED_REQUIRED = ("Status", "Condition", "State", "Running", "Terminated", "Waiting", "Reference", "Series")
UNCHECKED_REQUIRED_TYPES = frozenset(
    (
        *("Event", "Endpoints", "EndpointSlice", "EndpointSubset", "Endpoint", "EndpointPort", "NodeSystemInfo"),
        *("NodeAddress", "AttachedVolume", "ContainerImage", "PodIP", "HostIP", "SubjectAccessReviewSpec"),
    )
)
"""Types that the server decodes leniently: a missing required field is its zero value, not an error."""

_ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}

DEFAULTS: dict[str, Any] = {
    "PodSpec.restartPolicy": "Always",
    "PodSpec.dnsPolicy": "ClusterFirst",
    "PodSpec.terminationGracePeriodSeconds": 30,
    "PodSpec.schedulerName": "default-scheduler",
    "PodSpec.securityContext": {},
    "Container.terminationMessagePath": "/dev/termination-log",
    "Container.terminationMessagePolicy": "File",
    "Container.resources": {},
    "ContainerPort.protocol": "TCP",
    "ServicePort.protocol": "TCP",
    "Probe.periodSeconds": 10,
    "Probe.timeoutSeconds": 1,
    "Probe.successThreshold": 1,
    "Probe.failureThreshold": 3,
    "HTTPGetAction.path": "/",
    "HTTPGetAction.scheme": "HTTP",
    "ConfigMapVolumeSource.defaultMode": 420,
    "SecretVolumeSource.defaultMode": 420,
    "DownwardAPIVolumeSource.defaultMode": 420,
    "ProjectedVolumeSource.defaultMode": 420,
    "ServiceAccountTokenProjection.expirationSeconds": 3600,
    "ObjectFieldSelector.apiVersion": "v1",
    "HostPathVolumeSource.type": "",
    "DeploymentSpec.replicas": 1,
    "DeploymentSpec.revisionHistoryLimit": 10,
    "DeploymentSpec.progressDeadlineSeconds": 600,
    "DeploymentSpec.strategy": _ROLLING,
    "ReplicaSetSpec.replicas": 1,
    "JobSpec.parallelism": 1,
    "JobSpec.completionMode": "NonIndexed",
    "JobSpec.suspend": False,
    "ServiceSpec.type": "ClusterIP",
    "ServiceSpec.sessionAffinity": "None",
    "ServiceSpec.internalTrafficPolicy": "Cluster",
    "Secret.type": "Opaque",
    "PersistentVolumeClaimSpec.volumeMode": "Filesystem",
    "RoleRef.apiGroup": "rbac.authorization.k8s.io",
    "PriorityClass.preemptionPolicy": "PreemptLowerPriority",
    "CustomResourceDefinitionSpec.conversion": {"strategy": "None"},
}

ENUMS: dict[str, list[str]] = {
    "PodSpec.restartPolicy": ["Always", "OnFailure", "Never"],
    "Container.imagePullPolicy": ["Always", "IfNotPresent", "Never"],
    "Container.terminationMessagePolicy": ["FallbackToLogsOnError", "File"],
    "ContainerPort.protocol": ["SCTP", "TCP", "UDP"],
    "ServicePort.protocol": ["SCTP", "TCP", "UDP"],
    "ServiceSpec.type": ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
    "JobSpec.completionMode": ["NonIndexed", "Indexed"],
    "JobSpec.podReplacementPolicy": ["TerminatingOrFailed", "Failed"],
    "PodFailurePolicyRule.action": ["Count", "FailIndex", "FailJob", "Ignore"],
    "CustomResourceDefinitionSpec.scope": ["Cluster", "Namespaced"],
}

INT64 = frozenset(
    (
        *("generation", "observedGeneration", "terminationGracePeriodSeconds", "activeDeadlineSeconds"),
        *("deletionGracePeriodSeconds", "expirationSeconds", "runAsUser", "runAsGroup", "fsGroup", "tolerationSeconds"),
        *("startingDeadlineSeconds",),
    )
)
"""Integer fields of 64 bits; all others have 32."""
