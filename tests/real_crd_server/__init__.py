"""Kubernetes' own server of custom resources, built from Debian's packages and run beside the tests.

It is `k8s.io/apiextensions-apiserver` on etcd: the code that stores definitions and custom resources in every cluster,
with schemas, defaults, pruning, CEL rules, field managers and watches. It has no core kinds (no `/api`, no namespaces,
pods or Jobs), no RBAC of its own and no admission plugins. Nothing is installed on the system.
"""

from tests.real_crd_server.build import ADMISSION, VARIABLE, BuildError, build, built, cache_folder
from tests.real_crd_server.server import RealCrdServer

__all__ = ["ADMISSION", "VARIABLE", "BuildError", "RealCrdServer", "build", "built", "cache_folder"]
