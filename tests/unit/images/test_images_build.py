"""What images/build.py asks of docker, which writes down what it is told: no engine is needed for that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCKER = """#!{python}
import json, pathlib, sys
with pathlib.Path({told!r}).open("a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1:3] == ["image", "inspect"]:
    print(364000000)
sys.exit({code} if sys.argv[1] == "build" else 0)
"""


class Machine:
    """A machine with these programs and no others on PATH."""

    def __init__(self, folder: Path, docker_exit: int | None) -> None:
        self.bin, self.told = folder / "bin", folder / "told.jsonl"
        self.bin.mkdir()
        git = shutil.which("git")
        assert git is not None
        (self.bin / "git").symlink_to(git)
        if docker_exit is not None:
            docker = self.bin / "docker"
            docker.write_text(DOCKER.format(python=sys.executable, told=str(self.told), code=docker_exit))
            docker.chmod(0o755)

    def build(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "images" / "build.py"), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": str(self.bin)}
        )

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.told.read_text().splitlines()]


def test_docker_is_given_file_name_version_and_revision_of_each_image(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 0)
    done = machine.build("--repository", "registry.example.com/team", "--tag", "7", "operator", "gpu")
    assert done.returncode == 0, done.stderr
    assert "registry.example.com/team/gpu:7: 364 MB" in done.stdout
    built = [call for call in machine.calls() if call[0] == "build"]
    for name, call in zip(("operator", "gpu"), built, strict=True):
        assert call[1:3] == [f"--file=images/{name}/Dockerfile", f"--tag=registry.example.com/team/{name}:7"]
        arguments = dict(word.removeprefix("--build-arg=").split("=", 1) for word in call[3:-1])
        assert set(arguments) == {"VERSION", "REVISION"}
        assert len(arguments["REVISION"]) == 40
        # Options that only buildah knows, and paths of this machine, are no words of docker's.
        assert call[-1] == "."


def test_docker_takes_arguments_of_a_build(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 0)
    done = machine.build("--build-arg", "TORCH=https://example.com/whl/cu126?a=b", "gpu")
    assert done.returncode == 0, done.stderr
    assert "--build-arg=TORCH=https://example.com/whl/cu126?a=b" in machine.calls()[0]


def test_a_build_that_fails_ends_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 3)
    done = machine.build("operator", "cpu")
    assert (done.returncode, done.stderr) == (1, "failed (3): docker build\n")
    assert len(machine.calls()) == 1


@pytest.mark.parametrize(
    ("arguments", "docker", "words"),
    [
        ((), None, "neither buildah nor docker is here"),
        (("--stand-in",), 0, "--stand-in makes the base with buildah"),
        (("gpux",), 0, "no image gpux; there are operator, cpu"),
        (("--build-arg", "TORCH", "gpu"), 0, "--build-arg TORCH: say NAME=VALUE"),
    ],
)
def test_what_cannot_be_built_is_said(
    arguments: tuple[str, ...], docker: int | None, words: str, tmp_path: Path
) -> None:
    machine = Machine(tmp_path, docker)
    done = machine.build(*arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not machine.told.exists()
