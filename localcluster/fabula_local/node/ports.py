"""Ports on this machine for Services without an address of their own.

Two training jobs both call their master's port 23456; on one machine each needs its own.
"""

import json
import random
import socket
from pathlib import Path

from fabula_local.kinds import Obj, uid_of

FIRST_PORT, LAST_PORT = 20000, 29999
"""Below the range from which outgoing connections take theirs."""


class LocalPorts:
    """Remembers, over restarts, which free port stands for which port of which headless Service."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def port_of(self, service: Obj, port: int) -> int:
        """The port on this machine: for a headless Service one of its own, else the target port."""
        if service["spec"].get("clusterIP") != "None":
            for entry in service["spec"].get("ports") or ():
                target = entry.get("targetPort", entry["port"])
                if entry["port"] == port and isinstance(target, int):
                    return target
            return port
        key = f"{uid_of(service)}:{port}"
        if key not in self._ports:
            self._ports[key] = _free_port(set(self._ports.values()))
            self._save()
        return self._ports[key]

    def keep_only(self, services: list[Obj]) -> None:
        """Forget the ports of Services that are gone."""
        uids = {uid_of(service) for service in services}
        left = {key: port for key, port in self._ports.items() if key.partition(":")[0] in uids}
        if left != self._ports:
            self._ports = left
            self._save()

    def _save(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._ports))
        fresh.replace(self._path)


def _free_port(taken: set[int]) -> int:
    ports = list(range(FIRST_PORT, LAST_PORT + 1))
    random.shuffle(ports)
    for port in ports:
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {FIRST_PORT} and {LAST_PORT}")
