"""A real kube-apiserver and etcd instead of the laptop's own server: `--control-plane assets`.

The binaries come from the folder that KUBEBUILDER_ASSETS names (the envtest convention). What decides on command lines
is pure; only `serve_assets` starts anything.
"""

import asyncio
import base64
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

VARIABLE = "KUBEBUILDER_ASSETS"
ISSUER = "https://kubernetes.default.svc.cluster.local"
SERVICE_RANGE = "10.0.0.0/24"
READY_SECONDS = 60.0
STOP_SECONDS = 15.0
LOG_LINES = 20
USER = "fabula-admin"


class AssetsError(RuntimeError):
    """The real control plane cannot be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs are."""

    etcd: Path
    apiserver: Path


@dataclass(frozen=True, slots=True)
class Ports:
    """Where they listen, all on loopback."""

    apiserver: int
    etcd_client: int
    etcd_peer: int


@dataclass(frozen=True, slots=True)
class Files:
    """What they read and write, all below one folder."""

    root: Path

    @property
    def etcd_data(self) -> Path:
        return self.root / "etcd"

    @property
    def authority(self) -> Path:
        return self.root / "ca.crt"

    @property
    def certificate(self) -> Path:
        return self.root / "apiserver.crt"

    @property
    def key(self) -> Path:
        return self.root / "apiserver.key"

    @property
    def account_key(self) -> Path:
        return self.root / "service-account.key"

    @property
    def tokens(self) -> Path:
        return self.root / "tokens.csv"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"


def find_binaries(environment: Mapping[str, str]) -> Binaries:
    """The programs named by KUBEBUILDER_ASSETS; AssetsError if they are not there."""
    folder = environment.get(VARIABLE)
    if not folder:
        raise AssetsError(
            f"{VARIABLE} is not set: it must name a folder with etcd and kube-apiserver (setup-envtest makes one)"
        )
    root = Path(folder)
    for name in ("etcd", "kube-apiserver"):
        if not os.access(root / name, os.X_OK) or not (root / name).is_file():
            raise AssetsError(f"{VARIABLE} is {folder}, but there is no program {name} in it")
    return Binaries(root / "etcd", root / "kube-apiserver")


def etcd_command(binaries: Binaries, files: Files, ports: Ports) -> list[str]:
    """etcd for one machine."""
    client, peer = f"http://127.0.0.1:{ports.etcd_client}", f"http://127.0.0.1:{ports.etcd_peer}"
    return [
        str(binaries.etcd),
        f"--data-dir={files.etcd_data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def apiserver_command(binaries: Binaries, files: Files, ports: Ports) -> list[str]:
    """kube-apiserver with RBAC, token requests and an administrator's token."""
    return [
        str(binaries.apiserver),
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={ports.apiserver}",
        f"--etcd-servers=http://127.0.0.1:{ports.etcd_client}",
        f"--cert-dir={files.root}",
        f"--tls-cert-file={files.certificate}",
        f"--tls-private-key-file={files.key}",
        f"--token-auth-file={files.tokens}",
        "--authorization-mode=RBAC",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={files.account_key}",
        f"--service-account-signing-key-file={files.account_key}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--allow-privileged=true",
    ]


def prepare(files: Files, host: str = "127.0.0.1") -> tuple[Ports, str]:
    """Make keys, certificates and token where they are missing; ports and token. Kept over restarts."""
    files.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not files.certificate.exists():
        authority = trustme.CA()
        issued = authority.issue_cert(host, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        authority.cert_pem.write_to_path(str(files.authority))
        _write(files.key, issued.private_key_pem.bytes())
        _write(files.certificate, b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    if not files.account_key.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
        _write(files.account_key, key.private_bytes(encoding, form, serialization.NoEncryption()))
    if not files.tokens.exists():
        _write(files.tokens, f'{secrets.token_urlsafe(32)},{USER},{USER},"system:masters"\n'.encode())
    if not files.ports.exists():
        names = ("apiserver", "etcd_client", "etcd_peer")
        _write(files.ports, json.dumps(dict(zip(names, _free_ports(len(names)), strict=True))).encode())
    return Ports(**json.loads(files.ports.read_text())), files.tokens.read_text().partition(",")[0]


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()


def write_kubeconfig(path: Path, url: str, authority: bytes, token: str) -> None:
    """The administrator's kubeconfig, readable by its owner only."""
    name = "fabula-assets"
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(authority).decode()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current-context": name,
    }
    _write(path, yaml.safe_dump(document, sort_keys=False).encode())


class RunningAssets:
    """etcd and kube-apiserver, running."""

    def __init__(self, url: str, kubeconfig_path: Path, processes: Sequence["subprocess.Popen[bytes]"]) -> None:
        self.url = url
        self.kubeconfig_path = kubeconfig_path
        self._processes = processes

    async def stop(self) -> None:
        """End both, the server before its store."""
        for process in reversed(self._processes):
            await asyncio.to_thread(_end, process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        # A group of their own: Ctrl-C must reach the control plane first, which ends them in order.
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)


async def serve_assets(
    state_dir: Path, environment: Mapping[str, str], *, ready_seconds: float = READY_SECONDS
) -> RunningAssets:
    """Start both and wait until the server is ready; AssetsError with the end of its log if it does not get so."""
    binaries = find_binaries(environment)
    files = Files(state_dir / "assets")
    ports, token = prepare(files)
    processes: list[subprocess.Popen[bytes]] = []
    url = f"https://127.0.0.1:{ports.apiserver}"
    running = RunningAssets(url, state_dir / "kubeconfig", processes)
    try:
        for name, command in (
            ("etcd", etcd_command(binaries, files, ports)),
            ("kube-apiserver", apiserver_command(binaries, files, ports)),
        ):
            processes.append(_start(command, files.root / f"{name}.log"))
        await _wait_ready(url, token, files, processes, ready_seconds)
    except BaseException:
        await running.stop()
        raise
    write_kubeconfig(running.kubeconfig_path, url, files.authority.read_bytes(), token)
    return running


async def _wait_ready(
    url: str, token: str, files: Files, processes: Sequence["subprocess.Popen[bytes]"], seconds: float
) -> None:
    names = ("etcd", "kube-apiserver")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(
        verify=ssl.create_default_context(cafile=files.authority), trust_env=False, headers=headers
    ) as http:
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            for name, process in zip(names, processes, strict=True):
                if process.poll() is not None:
                    raise AssetsError(f"{name} ended with exit code {process.returncode}:\n{_tail(files, name)}")
            try:
                if (await http.get(f"{url}/readyz")).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            if asyncio.get_running_loop().time() > deadline:
                raise AssetsError(f"kube-apiserver was not ready in {seconds:g} s:\n{_tail(files, names[1])}")
            await asyncio.sleep(0.2)


def _tail(files: Files, name: str) -> str:
    text = (files.root / f"{name}.log").read_text(errors="replace")
    return "\n".join(text.splitlines()[-LOG_LINES:])
