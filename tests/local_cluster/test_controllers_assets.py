"""The real control plane: its command lines, and what a person is told when it cannot start."""

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
    lay_out,
    prepare,
)


def programs(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(AssetsError, match="KUBEBUILDER_ASSETS is not set"):
        find_binaries(None)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssetsError, match="there is no program kube-apiserver in it"):
        find_binaries(programs(tmp_path / "bin", "etcd"))


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
        f"--client-ca-file={tmp_path / 'clients-ca.crt'}",
        f"--kubelet-client-certificate={tmp_path / 'kubelet-client.pem'}",
        f"--service-account-signing-key-file={tmp_path / 'service-account.key'}",
    } <= set(server)
    assert not any("disable-admission-plugins" in flag for flag in server)


def test_what_is_prepared_is_kept_and_private(tmp_path: Path) -> None:
    files = Files(tmp_path / "assets")
    first = prepare(files)
    assert prepare(files) == first
    for path in (files.key, files.account_key, files.tokens, files.kubelet_client):
        assert path.stat().st_mode & 0o077 == 0


def test_what_is_laid_out_is_what_will_answer(tmp_path: Path) -> None:
    assets = lay_out(tmp_path, programs(tmp_path / "bin", "etcd", "kube-apiserver"))
    config = yaml.safe_load(assets.kubeconfig.read_text())
    assert config["clusters"][0]["cluster"]["server"] == f"https://127.0.0.1:{assets.ports.apiserver}"
    assert assets.kubeconfig.stat().st_mode & 0o077 == 0
    assert f"--secure-port={assets.ports.apiserver}" in assets.apiserver
    assert lay_out(tmp_path, tmp_path / "bin") == assets, "the same ports and keys after a restart"
