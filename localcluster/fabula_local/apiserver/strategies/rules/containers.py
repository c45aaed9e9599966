"""Containers of every kind. Rules: k8s.io/kubernetes/pkg/apis/core/validation validateContainerCommon."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fabula_local.apiserver.names import dns_label_error, id_error, port_error, port_name_error
from fabula_local.apiserver.strategies.rules.environment import source_rules, variable_rules
from fabula_local.apiserver.strategies.rules.resources import resource_rules
from fabula_local.apiserver.strategies.rules.volumes import mount_rules
from fabula_local.schema.errors import FieldError, duplicate, invalid, required

Object = Mapping[str, Any]


def container_rules(spec: Object, path: str) -> Iterator[FieldError]:
    """The containers of a PodSpec: at least one, each valid and named once; init containers count for names."""
    volumes = spec.get("volumes") or ()
    containers, first = spec.get("containers") or (), spec.get("initContainers") or ()
    if not containers:
        yield required(f"{path}.containers")
    names: set[str] = set()
    for key, every in (("containers", containers), ("initContainers", first)):
        for index, container in enumerate(every):
            here = f"{path}.{key}[{index}]"
            yield from _container(container, volumes, here)
            name = container.get("name") or ""
            if name in names:
                yield duplicate(f"{here}.name", name)
            names.add(name)
    yield from _host_port_conflicts(containers, f"{path}.containers")


def _container(container: Object, volumes: Sequence[Object], path: str) -> Iterator[FieldError]:
    name, image = container.get("name"), container.get("image")
    if not name:
        yield required(f"{path}.name")
    elif why := dns_label_error(name):
        yield invalid(f"{path}.name", name, why)
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    yield from _ports(container.get("ports") or (), f"{path}.ports")
    yield from variable_rules(container.get("env") or (), f"{path}.env")
    yield from source_rules(container.get("envFrom") or (), f"{path}.envFrom")
    yield from mount_rules(container.get("volumeMounts") or (), volumes, f"{path}.volumeMounts")
    yield from resource_rules(container.get("resources") or {}, f"{path}.resources")
    yield from _security(container.get("securityContext") or {}, f"{path}.securityContext")


def _ports(ports: Sequence[Object], path: str) -> Iterator[FieldError]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        if name := port.get("name"):
            if why := port_name_error(name):
                yield invalid(f"{here}.name", name, why)
            elif name in names:
                yield duplicate(f"{here}.name", name)
            names.add(name)
        if not (number := port.get("containerPort")):
            yield required(f"{here}.containerPort")
        elif why := port_error(number):
            yield invalid(f"{here}.containerPort", number, why)
        if (number := port.get("hostPort")) and (why := port_error(number)):
            yield invalid(f"{here}.hostPort", number, why)


def _host_port_conflicts(containers: Sequence[Object], path: str) -> Iterator[FieldError]:
    """checkHostPortConflicts: a port of the node goes to one container."""
    taken: set[str] = set()
    for index, container in enumerate(containers):
        for number, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            name = f"{port.get('protocol', 'TCP')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if name in taken:
                yield duplicate(f"{path}[{index}].ports[{number}].hostPort", name)
            taken.add(name)


def _security(context: Object, path: str) -> Iterator[FieldError]:
    for key in ("runAsUser", "runAsGroup"):
        if (number := context.get(key)) is not None and (why := id_error(number)):
            yield invalid(f"{path}.{key}", number, why)
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        yield invalid(path, dict(context), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
