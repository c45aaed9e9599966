"""The real control plane: its command lines, and what a person is told when it cannot start."""

import os
import sys
from pathlib import Path

import pytest
import yaml

from fabula_local.assets import (
    AssetsError,
    Binaries,
    Files,
    Ports,
    apiserver_command,
    etcd_command,
    find_binaries,
    prepare,
    serve_assets,
)

FAKE_ETCD = "#!/bin/sh\nexec sleep 300\n"
FAKE_APISERVER = """#!{python}
import http.server, ssl, sys
flags = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
token = open(flags["token-auth-file"]).read().split(",")[0]

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        right = self.path == "/readyz" and self.headers["Authorization"] == "Bearer " + token
        self.send_response(200 if right else 403)
        self.end_headers()

server = http.server.HTTPServer((flags["bind-address"], int(flags["secure-port"])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(flags["tls-cert-file"], flags["tls-private-key-file"])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def programs(folder: Path, **texts: str) -> dict[str, str]:
    folder.mkdir()
    for name, text in texts.items():
        path = folder / name.replace("_", "-")
        path.write_text(text.replace("{python}", sys.executable))
        path.chmod(0o755)
    return {"KUBEBUILDER_ASSETS": str(folder)}


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(AssetsError, match="KUBEBUILDER_ASSETS is not set"):
        find_binaries({})


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    environment = programs(tmp_path / "bin", etcd=FAKE_ETCD)
    with pytest.raises(AssetsError, match="there is no program kube-apiserver in it"):
        find_binaries(environment)


def test_command_lines(tmp_path: Path) -> None:
    binaries = Binaries(Path("/b/etcd"), Path("/b/kube-apiserver"))
    files, ports = Files(tmp_path), Ports(apiserver=1, etcd_client=2, etcd_peer=3)
    etcd = etcd_command(binaries, files, ports)
    server = apiserver_command(binaries, files, ports)
    assert etcd[0] == "/b/etcd"
    assert "--listen-client-urls=http://127.0.0.1:2" in etcd
    assert {
        "--secure-port=1",
        "--etcd-servers=http://127.0.0.1:2",
        "--authorization-mode=RBAC",
        f"--token-auth-file={tmp_path / 'tokens.csv'}",
        f"--service-account-signing-key-file={tmp_path / 'service-account.key'}",
    } <= set(server)
    assert not any("disable-admission-plugins" in flag for flag in server)


def test_what_is_prepared_is_kept_and_private(tmp_path: Path) -> None:
    files = Files(tmp_path / "assets")
    first = prepare(files)
    assert prepare(files) == first
    for path in (files.key, files.account_key, files.tokens):
        assert path.stat().st_mode & 0o077 == 0


async def test_it_starts_waits_and_stops(tmp_path: Path) -> None:
    environment = programs(tmp_path / "bin", etcd=FAKE_ETCD, kube_apiserver=FAKE_APISERVER)
    running = await serve_assets(tmp_path, environment)
    pids = [process.pid for process in running._processes]
    try:
        config = yaml.safe_load(running.kubeconfig_path.read_text())
        assert config["clusters"][0]["cluster"]["server"] == running.url
        assert running.kubeconfig_path.stat().st_mode & 0o077 == 0
    finally:
        await running.stop()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_server_that_dies_is_quoted(tmp_path: Path) -> None:
    dying = "#!/bin/sh\necho 'no such flag'\nexit 3\n"
    environment = programs(tmp_path / "bin", etcd=FAKE_ETCD, kube_apiserver=dying)
    with pytest.raises(AssetsError, match="kube-apiserver ended with exit code 3:\nno such flag"):
        await serve_assets(tmp_path, environment)


async def test_a_server_that_never_gets_ready(tmp_path: Path) -> None:
    environment = programs(tmp_path / "bin", etcd=FAKE_ETCD, kube_apiserver=FAKE_ETCD)
    with pytest.raises(AssetsError, match=r"not ready in 0\.5 s"):
        await serve_assets(tmp_path, environment, ready_seconds=0.5)
