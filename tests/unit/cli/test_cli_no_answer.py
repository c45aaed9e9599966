"""What is said of a cluster that does not answer, and of files that are no kubeconfig: in one line, and what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fabula_cli.main import app


def kubeconfig(folder: Path, server: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "x"}}],
            }
        )
    )
    return path


@pytest.mark.parametrize("command", [["status"], ["watch"], ["cost"], ["doctor"], ["logs", "x"], ["suspend", "x"]])
def test_a_cluster_that_is_not_up_is_told_by_its_address_and_the_network_s_word(
    command: list[str], tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{free.getsockname()[1]}"
    told = CliRunner().invoke(app, [*command, "--kubeconfig", str(kubeconfig(tmp_path, server))])
    assert told.exit_code == 4
    words = " ".join(told.output.split())
    assert words == (
        f"fabula: the cluster does not answer ({server}: Connection refused); is it up, and KUBECONFIG the right one?"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is not there or is empty"), ("a: [", "is no kubeconfig: while parsing"), ("- a", "is no kubeconfig")],
)
def test_what_is_no_kubeconfig_is_told_with_what_to_do(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    told = CliRunner().invoke(app, ["status", "--kubeconfig", str(tmp_path / "kubeconfig")])
    assert told.exit_code == 4
    assert words in " ".join(told.output.split()) and "`fabula up` starts one here" in " ".join(told.output.split())
    assert "NoneType" not in told.output


def test_shell_lines_are_given_for_a_cluster_that_was_up_only(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["env", "--home", str(tmp_path)])
    assert told.exit_code == 4
    assert "export" not in told.output
