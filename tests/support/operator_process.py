"""The operator as a process of its own, with the rights of its ServiceAccount and nothing more."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx2
import trustme
import yaml
from tests.support import copies
from tests.support.patience import SECONDS, eventually

from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import POD, Obj, Resource
from fabula_operator.rights import cluster_role, cluster_role_binding, namespaced

LEASES = ("fabula-operator", "pair", "reports", "foreign", "again")
ACCOUNT = Resource("", "v1", "ServiceAccount", "serviceaccounts")


async def account_kubeconfig(
    admin: Api, kubeconfig: Path, target: Path, namespace: str = "default", watched: str | None = None
) -> Path:
    """Create the operator's ServiceAccount with its rights, and a kubeconfig with a token of it.

    `watched` is the one namespace that it may look after; without it, all. Each of its leases has a role of its own.
    """
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "fabula-operator"}}
    await admin.request("POST", ACCOUNT.path(namespace), body=account)
    objects = [] if watched is None else namespaced(watched, namespace)
    for lease in () if watched else LEASES:
        name = f"fabula-operator-{lease}"
        objects += [cluster_role(name, lease), cluster_role_binding(namespace, name=name)]
    for manifest in objects:
        kind, place = manifest["kind"], manifest["metadata"].get("namespace")
        resource = Resource("rbac.authorization.k8s.io", "v1", kind, f"{kind.lower()}s", namespaced=place is not None)
        await admin.request("POST", resource.path(place), body=manifest)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    answer = await admin.request("POST", ACCOUNT.path(namespace, "fabula-operator", "token"), body=request)
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": answer["status"]["token"]}}]
    target.write_text(yaml.safe_dump(config))
    target.chmod(0o600)
    return target


@dataclass(frozen=True)
class Certificates:
    """Files of the status server's TLS."""

    cert: Path
    key: Path
    authority: Path


def certificates(folder: Path) -> Certificates:
    """A certificate authority and a certificate for 127.0.0.1."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    files = Certificates(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
    issued.cert_chain_pems[0].write_to_path(str(files.cert))
    issued.private_key_pem.write_to_path(str(files.key))
    authority.cert_pem.write_to_path(str(files.authority))
    return files


async def stranger_pod(api: Api, namespace: str) -> Obj:
    """Create a pod that no operator has heard of."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "namespace": namespace},
        "spec": {"containers": [{"name": "a", "image": "x"}]},
    }
    made: Obj = await api.request("POST", POD.path(namespace), body=pod)
    return made


def free_ports(count: int) -> list[int]:
    """Ports that are free now and not each other's, below those that the kernel gives to outgoing connections.

    One of the latter may be taken by any client on the machine before the operator listens on it.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = random.sample(range(min(15_000, lowest - 5_000), lowest), 500)
    held: list[socket.socket] = []
    try:
        for port in candidates:
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                probe.close()
                continue
            held.append(probe)
            if len(held) == count:
                return [int(taken.getsockname()[1]) for taken in held]
    finally:
        for probe in held:
            probe.close()
    raise RuntimeError(f"fewer than {count} ports are free below {lowest}")


class OperatorProcess:
    """`with OperatorProcess(...) as operator:` a running operator."""

    def __init__(self, kubeconfig: Path, folder: Path, tls: Certificates, identity: str, *options: str) -> None:
        self.status_port, self.metrics_port = free_ports(2)
        self.log = folder / f"operator-{identity}.log"
        self.arguments = [
            "--kubeconfig", str(kubeconfig),
            "--artifact-root", f"file://{folder}/artifacts",
            "--status-host", "127.0.0.1",
            "--status-port", str(self.status_port),
            "--status-url", f"https://127.0.0.1:{self.status_port}",
            "--tls-cert", str(tls.cert), "--tls-key", str(tls.key), "--status-ca", str(tls.authority),
            "--metrics-host", "127.0.0.1", "--metrics-port", str(self.metrics_port),
            "--identity", identity, "--confine", "off",
            *options,
        ]  # fmt: skip
        self.process: copies.Process | None = None

    def __enter__(self) -> OperatorProcess:
        with self.log.open("ab") as log:
            self.process = copies.start("fabula_operator", *self.arguments, log=log)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def stop(self) -> int:
        """Ask it to end by SIGTERM, and wait until it has; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def metrics(self) -> str:
        """The text of /metrics; empty while it does not answer."""
        return self._get("metrics")[1]

    def leads(self) -> bool:
        """Whether it holds the lease and its watches run."""
        return self._get("readyz") == (200, "leading\n")

    def waits(self) -> bool:
        """Whether its watches run while another one has the lease."""
        return self._get("readyz") == (200, "waiting for the lease\n")

    def _get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer; 0 and nothing while there is none."""
        try:
            answer = httpx2.get(f"http://127.0.0.1:{self.metrics_port}/{path}", trust_env=False, timeout=SECONDS)
        except httpx2.HTTPError:
            return 0, ""
        return answer.status_code, answer.text


async def leading(operator: OperatorProcess) -> None:
    """Wait until it holds its lease and its watches run."""

    async def asked() -> bool:
        assert operator.process is not None
        assert operator.process.poll() is None, operator.log.read_text()
        return await asyncio.to_thread(operator.leads)

    await eventually(asked, "an operator that leads")


def trust(tls: Certificates) -> ssl.SSLContext:
    """What a worker trusts."""
    return ssl.create_default_context(cafile=str(tls.authority))


async def token(api: Api, namespace: str, audience: str, pod: Obj | None) -> str:
    """A token as a kubelet would project it into the pod; bound to no pod without one."""
    spec: Obj = {"audiences": [audience], "expirationSeconds": 600}
    if pod is not None:
        meta = pod["metadata"]
        spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = await api.request("POST", ACCOUNT.path(namespace, "default", "token"), body=body)
    return str(answer["status"]["token"])
