"""Services: defaults and a cluster address.

The address is a name for the service, as in any cluster; on a laptop nothing routes it, and the process node tells
pods where a service really is.
"""

import hashlib

from fabula_local.apiserver.strategies.base import Cluster, Object, Strategy
from fabula_local.schema.errors import FieldError, invalid, required


class ServiceStrategy(Strategy):
    """core/v1 Service."""

    def default(self, obj: Object) -> None:
        """ClusterIP, no affinity, TCP, target port equal to the port."""
        if not isinstance(spec := obj.get("spec"), dict):
            return
        kind = spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        if kind != "ExternalName":
            spec.setdefault("internalTrafficPolicy", "Cluster")
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            if not port.get("targetPort"):
                port["targetPort"] = port.get("port")

    def prepare_create(self, obj: Object, cluster: Cluster) -> None:
        """Allocate an address from 10.96.0.0/12 unless the service is headless or external."""
        spec = obj.setdefault("spec", {})
        obj["status"] = {"loadBalancer": {}}
        if spec.get("type") == "ExternalName":
            return
        if not spec.get("clusterIP"):
            digest = hashlib.sha256(obj["metadata"]["uid"].encode()).digest()
            spec["clusterIP"] = f"10.{96 + digest[0] % 16}.{digest[1]}.{1 + digest[2] % 254}"
        spec["clusterIPs"] = [spec["clusterIP"]]
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")

    def prepare_update(self, new: Object, old: Object) -> None:
        """Keep the address where the update leaves it out."""
        for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if key in old["spec"] and not new["spec"].get(key):
                new["spec"][key] = old["spec"][key]

    def validate(self, obj: Object) -> list[FieldError]:
        """Ports, unless the service is headless or external."""
        spec = obj.get("spec") or {}
        if not spec.get("ports") and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
            return [required("spec.ports")]
        return []

    def validate_update(self, new: Object, old: Object) -> list[FieldError]:
        """The address is fixed."""
        before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
        if before and before != after:
            return [invalid("spec.clusterIPs[0]", new["spec"].get("clusterIPs"), "may not change once set")]
        return []
