"""The environment of a container: values, references, $(VAR) expansion. Pure; the rules are those of core/v1."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal

from fabula_kube.quantity import parse_quantity
from fabula_local.kinds import Obj

REFERENCE = re.compile(r"\$(?:(\$)|\(([^)]*)\))")
SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class MissingSourceError(Exception):
    """A ConfigMap, Secret or key that the container needs is not there (yet)."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The objects that environments refer to; None for one that does not exist."""

    config_maps: Mapping[str, Mapping[str, str] | None] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, str] | None] = field(default_factory=dict)
    """Decoded."""


def referenced(pod: Obj) -> tuple[set[str], set[str]]:
    """Names of the ConfigMaps and of the Secrets that the containers' environments refer to."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for container in [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]:
        for source in container.get("envFrom") or ():
            if "configMapRef" in source:
                config_maps.add(source["configMapRef"]["name"])
            if "secretRef" in source:
                secrets.add(source["secretRef"]["name"])
        for entry in container.get("env") or ():
            origin = entry.get("valueFrom") or {}
            if "configMapKeyRef" in origin:
                config_maps.add(origin["configMapKeyRef"]["name"])
            if "secretKeyRef" in origin:
                secrets.add(origin["secretKeyRef"]["name"])
    return config_maps, secrets


def container_env(container: Obj, pod: Obj, sources: Sources) -> dict[str, str]:
    """The variables that the pod's author asked for, in order, expanded."""
    env: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        for kind, objects in (("configMapRef", sources.config_maps), ("secretRef", sources.secrets)):
            if kind in source:
                data = _object(objects, source[kind], "configmap" if kind == "configMapRef" else "secret")
                env.update({prefix + key: value for key, value in (data or {}).items()})
    for entry in container.get("env") or ():
        if "valueFrom" in entry:
            value = _from(entry["valueFrom"], container, pod, sources)
        else:
            value = expand(entry.get("value", ""), env)
        if value is not None:
            env[entry["name"]] = value
    return env


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace $(NAME) by the variable, and $$ by $ wherever it stands; unknown names stay as they are."""

    def substitute(match: re.Match[str]) -> str:
        return "$" if match[1] else env.get(match[2], match[0])

    return REFERENCE.sub(substitute, text)


def _object(objects: Mapping[str, Mapping[str, str] | None], ref: Obj, kind: str) -> Mapping[str, str] | None:
    data = objects.get(ref["name"])
    if data is None and not ref.get("optional"):
        raise MissingSourceError(f'{kind} "{ref["name"]}" not found')
    return data


def _from(origin: Obj, container: Obj, pod: Obj, sources: Sources) -> str | None:
    if "fieldRef" in origin:
        return field_value(pod, origin["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in origin:
        return resource_value(container, origin["resourceFieldRef"])
    for name, objects, kind in (
        ("configMapKeyRef", sources.config_maps, "ConfigMap"),
        ("secretKeyRef", sources.secrets, "Secret"),
    ):
        if name in origin:
            ref = origin[name]
            data = _object(objects, ref, kind.lower())
            if data is not None and ref["key"] in data:
                return data[ref["key"]]
            if ref.get("optional"):
                return None
            namespace = pod["metadata"]["namespace"]
            raise MissingSourceError(f"couldn't find key {ref['key']} in {kind} {namespace}/{ref['name']}")
    return None


def field_value(pod: Obj, path: str) -> str:
    """The downward API's answer for a field path; ValueError for one that it does not offer."""
    meta, spec = pod["metadata"], pod["spec"]
    if subscript := SUBSCRIPT.fullmatch(path):
        return str((meta.get(subscript[1]) or {}).get(subscript[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        entries = (meta.get(path.removeprefix("metadata.")) or {}).items()
        return "\n".join(f'{key}="{value}"' for key, value in sorted(entries))
    known = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": "127.0.0.1",
        "status.podIPs": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
        "status.hostIPs": "127.0.0.1",
    }
    if path not in known:
        raise ValueError(f"fieldPath {path} is not offered by the downward API; offered are {', '.join(sorted(known))}")
    return str(known[path])


def resource_value(container: Obj, ref: Obj) -> str:
    """A limit or request, divided by the divisor and rounded up."""
    section, _, name = ref["resource"].partition(".")
    amount = ((container.get("resources") or {}).get(section) or {}).get(name, "0")
    divisor = parse_quantity(ref.get("divisor") or "1") or Decimal(1)
    return str((parse_quantity(amount) / divisor).to_integral_value(ROUND_CEILING))
