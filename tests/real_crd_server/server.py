"""The built server and its etcd, running on loopback with a state of their own."""

import base64
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

import trustme
import yaml

from tests.real_crd_server.build import SERVER, STORE

_READY_SECONDS = 900.0
_STOP_SECONDS = 20.0
_NEEDS_CORE = "NamespaceLifecycle,MutatingAdmissionPolicy,MutatingAdmissionWebhook,ValidatingAdmissionPolicy,ValidatingAdmissionWebhook"  # noqa: E501
"""Admission plugins that watch core kinds, which this server has not."""


class RealCrdServer:
    """`with RealCrdServer(folder, state) as server: ... server.kubeconfig`, with an administrator's rights."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.kubeconfig = state / "kubeconfig"
        self._folder = folder
        self._state = state
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "RealCrdServer":
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End both, the server before its store."""
        while self._processes:
            process = self._processes.pop()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self) -> None:
        self._state.mkdir(parents=True, exist_ok=True)
        client, peer, secure = _free_ports(3)
        store = f"http://127.0.0.1:{client}"
        url = f"https://127.0.0.1:{secure}"
        self._issue(url)
        self._run(
            STORE,
            f"--data-dir={self._state / 'etcd'}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        )
        core = str(self._state / "core.kubeconfig")
        self._run(
            SERVER,
            f"--etcd-servers={store}",
            "--bind-address=127.0.0.1",
            f"--secure-port={secure}",
            f"--tls-cert-file={self._state / 'server.crt'}",
            f"--tls-private-key-file={self._state / 'server.key'}",
            f"--client-ca-file={self._state / 'ca.crt'}",
            "--authentication-skip-lookup",
            f"--authentication-kubeconfig={core}",
            f"--authorization-kubeconfig={core}",
            f"--kubeconfig={core}",
            f"--disable-admission-plugins={_NEEDS_CORE}",
        )
        self._wait_ready(url)

    def _issue(self, url: str) -> None:
        """Certificates, the administrator's kubeconfig, and that of the core API that is not there."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self._state / "ca.crt"))
        server = authority.issue_cert("127.0.0.1")
        server.private_key_pem.write_to_path(str(self._state / "server.key"))
        server.cert_chain_pems[0].write_to_path(str(self._state / "server.crt"))
        admin = authority.issue_cert("admin", common_name="admin", organization_name="system:masters")
        user = {
            "client-certificate-data": base64.b64encode(admin.cert_chain_pems[0].bytes()).decode(),
            "client-key-data": base64.b64encode(admin.private_key_pem.bytes()).decode(),
        }
        cluster = {
            "server": url,
            "certificate-authority-data": base64.b64encode(authority.cert_pem.bytes()).decode(),
        }
        _write_kubeconfig(self.kubeconfig, cluster, user)
        _write_kubeconfig(self._state / "core.kubeconfig", {"server": "http://127.0.0.1:1"}, {"token": "none"})
        admin.private_key_and_cert_chain_pem.write_to_path(str(self._state / "admin.pem"))

    def _run(self, name: str, *arguments: str) -> None:
        with (self._state / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(self._folder / name), *arguments],
                cwd=self._state,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)

    def _wait_ready(self, url: str) -> None:
        context = ssl.create_default_context(cafile=str(self._state / "ca.crt"))
        context.load_cert_chain(str(self._state / "admin.pem"))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                # One check stays red: the informers of core kinds.
                with opener.open(f"{url}/readyz?exclude=informer-sync", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                ended = any(process.poll() is not None for process in self._processes)
                if ended or time.monotonic() > deadline:
                    raise RuntimeError(f"the real CRD server did not start:\n{self._logs()}") from None
                time.sleep(0.1)

    def _logs(self) -> str:
        logs = (self._state / f"{name}.log" for name in (STORE, SERVER))
        return "\n".join(log.read_text(errors="replace")[-1500:] for log in logs if log.exists())


def _write_kubeconfig(path: Path, cluster: dict[str, str], user: dict[str, str]) -> None:
    name = "real-crd-server"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()
