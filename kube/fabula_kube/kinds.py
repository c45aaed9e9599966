"""Kinds of Kubernetes, and of what is installed beside it, that more than one program speaks of; each with its URL."""

from __future__ import annotations

from fabula_kube.resource import Resource

NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
NODE = Resource("", "v1", "Node", "nodes", namespaced=False)
POD = Resource("", "v1", "Pod", "pods")
EVENT = Resource("", "v1", "Event", "events")
SERVICE = Resource("", "v1", "Service", "services")
CONFIG_MAP = Resource("", "v1", "ConfigMap", "configmaps")
SECRET = Resource("", "v1", "Secret", "secrets")
SERVICE_ACCOUNT = Resource("", "v1", "ServiceAccount", "serviceaccounts")
VOLUME_CLAIM = Resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
RESOURCE_QUOTA = Resource("", "v1", "ResourceQuota", "resourcequotas")
JOB = Resource("batch", "v1", "Job", "jobs")
DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments")
REPLICA_SET = Resource("apps", "v1", "ReplicaSet", "replicasets")
LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases")
CRD = Resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
PYTORCH_JOB = Resource("kubeflow.org", "v1", "PyTorchJob", "pytorchjobs")
