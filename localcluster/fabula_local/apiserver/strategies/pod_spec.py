"""Defaults of a pod's spec that depend on the rest of it, shared by pods and by everything that holds a pod template.

Constant defaults are in the schemas. Rules: k8s.io/kubernetes/pkg/apis/core/v1/defaults.go.
"""

from typing import Any

Object = dict[str, Any]


def default_pod_spec(spec: Object) -> None:
    """Fill in the defaults of a PodSpec, in place."""
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        if isinstance(container, dict):
            _default_container(container)
    for volume in spec.get("volumes") or ():
        if isinstance(volume, dict) and not set(volume) - {"name"}:
            volume["emptyDir"] = {}


def default_template(template: Any) -> None:
    """Fill in the defaults of a PodTemplateSpec, in place."""
    if not isinstance(template, dict):
        return
    metadata = template.setdefault("metadata", {})
    if isinstance(metadata, dict) and metadata.get("creationTimestamp") is None:
        metadata.pop("creationTimestamp", None)
    if isinstance(template.get("spec"), dict):
        default_pod_spec(template["spec"])


def _default_container(container: Object) -> None:
    image = str(container.get("image") or "")
    tag = image.rpartition("/")[2].partition(":")[2]
    pinned = "@" in image or (tag and tag != "latest")
    container.setdefault("imagePullPolicy", "IfNotPresent" if pinned else "Always")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        if isinstance(source.get("resourceFieldRef"), dict):
            source["resourceFieldRef"].setdefault("divisor", "0")
