"""Pod paths and Service names, turned into what they are on this machine. Pure.

A process cannot mount and a laptop resolves no Service name, so both are replaced where they stand in a container's
command, arguments and environment. Contents of mounted files are left alone.
"""

import re
from collections.abc import Callable, Mapping

from fabula_local.kinds import Obj

LOOPBACK = "127.0.0.1"
HOST_VARIABLE = re.compile(r"(^|_)(ADDR|ADDRESS|HOST|HOSTNAME|ENDPOINT|SERVER|URL|URI)$")
ENDPOINT = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)?(?P<host>[a-z0-9][a-z0-9.-]*)(?::(?P<port>\d+))?(?P<rest>/.*)?", re.S
)

PortOf = Callable[[Obj, int], int]
"""The port on this machine behind a Service's port."""


def rewrite_paths(text: str, mounts: Mapping[str, str]) -> str:
    """Replace every mount path that stands in `text` as the beginning of a path by its folder on this machine."""
    if not mounts:
        return text
    paths = "|".join(re.escape(path) for path in sorted(mounts, key=len, reverse=True))
    # Not inside a longer path or word; behind "file://" it is a path, behind "http:/" it would be a host.
    pattern = rf"(?:(?<=file://)|(?<![\w.\-/]))(?:{paths})(?![\w.\-])"
    return re.sub(pattern, lambda match: mounts[match[0]], text)


class ServiceHosts:
    """Finds the Service that a host name means, seen from one namespace."""

    def __init__(self, services: list[Obj], namespace: str, port_of: PortOf) -> None:
        self._by_host: dict[str, Obj] = {}
        self._headless: set[str] = set()
        self._port_of = port_of
        for service in services:
            name, where = service["metadata"]["name"], service["metadata"]["namespace"]
            hosts = [f"{name}.{where}", f"{name}.{where}.svc", f"{name}.{where}.svc.cluster.local"]
            if where == namespace:
                hosts.append(name)
            self._by_host |= dict.fromkeys(hosts, service)
            if service["spec"].get("clusterIP") == "None":
                self._headless.update(hosts)

    def _service(self, host: str) -> Obj | None:
        """The Service of a host name; a headless one also answers for its pods, as `<pod>.<service>`."""
        parent = host.partition(".")[2]
        return self._by_host.get(host) or (self._by_host[parent] if parent in self._headless else None)

    def rewrite_env(self, env: Mapping[str, str]) -> dict[str, str]:
        """The environment with Service hosts replaced; X_PORT follows where X_ADDR or X_HOST names a Service."""
        result = {}
        for name, value in env.items():
            stem = name.removesuffix("_PORT")
            partner = next((env[key] for key in (f"{stem}_ADDR", f"{stem}_HOST") if key in env), None)
            service = self._service(partner) if stem != name and partner is not None else None
            if service is not None and value.isdigit():
                result[name] = str(self._port_of(service, int(value)))
            else:
                result[name] = self.rewrite(value, bare=HOST_VARIABLE.search(name) is not None)
        return result

    def rewrite_argument(self, argument: str) -> str:
        """One word of a command line, also in the form --option=host:port."""
        option, equals, value = argument.partition("=")
        if equals and option.startswith("-"):
            return f"{option}={self.rewrite(value, bare=False)}"
        return self.rewrite(argument, bare=False)

    def rewrite(self, value: str, *, bare: bool) -> str:
        """A URL, host:port or host name. A host name alone is only taken for one if `bare` says so."""
        match = ENDPOINT.fullmatch(value)
        if match is None or (service := self._service(match["host"])) is None:
            return value
        if not (match["scheme"] or match["port"] or bare or "." in match["host"]):
            return value
        port = match["port"]
        if port is None and match["scheme"] in ("http://", "https://"):
            port = "80" if match["scheme"] == "http://" else "443"
        tail = f":{self._port_of(service, int(port))}" if port else ""
        return f"{match['scheme'] or ''}{LOOPBACK}{tail}{match['rest'] or ''}"
