"""A real kube-apiserver and etcd instead of the laptop's own server: `--control-plane assets`.

The programs come from the folder that KUBEBUILDER_ASSETS names (the envtest convention). Nothing is started here:
`lay_out` writes what they need and says how to run them, and whoever runs them keeps them alive.
"""

import base64
import json
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

VARIABLE = "KUBEBUILDER_ASSETS"
ISSUER = "https://kubernetes.default.svc.cluster.local"
SERVICE_RANGE = "10.0.0.0/24"
USER = "fabula-admin"


class AssetsError(Exception):
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
    def client_authority(self) -> Path:
        return self.root / "clients-ca.crt"

    @property
    def kubelet_client(self) -> Path:
        return self.root / "kubelet-client.pem"

    @property
    def tokens(self) -> Path:
        return self.root / "tokens.csv"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"


def find_binaries(folder: Path | None) -> Binaries:
    """The programs in the folder that KUBEBUILDER_ASSETS names; AssetsError if they are not there."""
    if folder is None:
        raise AssetsError(
            f"{VARIABLE} is not set: it must name a folder with etcd and kube-apiserver (setup-envtest makes one)"
        )
    for name in ("etcd", "kube-apiserver"):
        if not os.access(folder / name, os.X_OK) or not (folder / name).is_file():
            raise AssetsError(f"{VARIABLE} is {folder}, but there is no program {name} in it")
    return Binaries(folder / "etcd", folder / "kube-apiserver")


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
        f"--client-ca-file={files.client_authority}",
        f"--kubelet-client-certificate={files.kubelet_client}",
        f"--kubelet-client-key={files.kubelet_client}",
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
    if not files.kubelet_client.exists():
        # With this kube-apiserver proves itself to the node whose logs it fetches.
        clients = trustme.CA()
        issued = clients.issue_cert(common_name="kube-apiserver-kubelet-client", organization_name="system:masters")
        clients.cert_pem.write_to_path(str(files.client_authority))
        _write(files.kubelet_client, issued.private_key_and_cert_chain_pem.bytes())
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
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()


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


@dataclass(frozen=True, slots=True)
class Assets:
    """How to run both, and where they will answer."""

    etcd: list[str]
    apiserver: list[str]
    kubeconfig: Path
    ports: Ports


def lay_out(state_dir: Path, folder: Path | None) -> Assets:
    """Write keys, certificates and the administrator's kubeconfig below the state folder, or keep those of before.

    Raises AssetsError where the folder lacks a program.
    """
    binaries, files = find_binaries(folder), Files(state_dir / "assets")
    ports, token = prepare(files)
    kubeconfig = state_dir / "kubeconfig"
    write_kubeconfig(kubeconfig, f"https://127.0.0.1:{ports.apiserver}", files.authority.read_bytes(), token)
    return Assets(etcd_command(binaries, files, ports), apiserver_command(binaries, files, ports), kubeconfig, ports)
