"""A pod's spec, and the templates that carry one.

Rules: k8s.io/kubernetes/pkg/apis/core/validation ValidatePodSpec and ValidatePodTemplateSpec. Not checked, because
nothing here acts on them: probes, lifecycle hooks, DNS settings, host aliases, resource claims, Windows and OS options.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fabula_local.apiserver.metadata import check_annotations, check_labels
from fabula_local.apiserver.names import dns_label_error, id_error, subdomain_error
from fabula_local.apiserver.strategies.rules.containers import container_rules
from fabula_local.apiserver.strategies.rules.numbers import positive_int32
from fabula_local.apiserver.strategies.rules.scheduling import scheduling_rules
from fabula_local.apiserver.strategies.rules.volumes import volume_rules
from fabula_local.schema.errors import FieldError, forbidden, invalid

Object = Mapping[str, Any]

_NAMES = {
    "hostname": dns_label_error,
    "subdomain": dns_label_error,
    "serviceAccountName": subdomain_error,
    "nodeName": subdomain_error,
    "priorityClassName": subdomain_error,
    "runtimeClassName": subdomain_error,
}


def template_rules(template: Object, path: str) -> Iterator[FieldError]:
    """A PodTemplateSpec. Errors in its metadata are told at `labels` and `annotations`, as Kubernetes does."""
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    yield from check_labels(metadata.get("labels"), f"{path}.labels")
    yield from check_annotations(metadata.get("annotations"), f"{path}.annotations")
    yield from pod_spec_rules(spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        yield forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def pod_spec_rules(spec: Object, path: str) -> Iterator[FieldError]:
    """A PodSpec."""
    yield from volume_rules(spec.get("volumes") or (), f"{path}.volumes")
    yield from container_rules(spec, path)
    if spec.get("hostNetwork"):
        yield from _host_network(spec, path)
    context = spec.get("securityContext") or {}
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        if (number := context.get(key)) is not None and (why := id_error(number)):
            yield invalid(f"{path}.securityContext.{key}", number, why)
    yield from scheduling_rules(spec, path)
    for key, problem in _NAMES.items():
        if (name := spec.get(key)) and (why := problem(name)):
            yield invalid(f"{path}.{key}", name, why)
    yield from positive_int32(spec, path, "activeDeadlineSeconds")


def _host_network(spec: Object, path: str) -> Iterator[FieldError]:
    for key in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(key) or ()):
            for number, port in enumerate(container.get("ports") or ()):
                if (asked := port.get("hostPort")) and asked != port.get("containerPort"):
                    here = f"{path}.{key}[{index}].ports[{number}].hostPort"
                    yield invalid(here, asked, "must match `containerPort` when `hostNetwork` is true")
