"""A container of a built image as a pod would have it: user 10001, and nowhere to write but what the pod spec mounts.

buildah cannot make a root file system read-only, so the folders of it that are open to all are closed, and what changed
in it is found by comparing before and after.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import SECONDS

ROOT = Path(__file__).parents[2]
USER = 10001
SCRATCH = "/scratch"
_OPEN = ("tmp", "var/tmp", "run/lock")
# What every container engine mounts over; buildah's chroot leaves marks of it.
_ENGINE = ("dev", "proc", "sys", "run", "etc/hosts", "etc/resolv.conf", "etc/hostname")


def buildah(*arguments: str) -> str:
    """What a buildah command prints."""
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, f"buildah {' '.join(arguments)}\n{done.stderr}"
    return done.stdout.strip()


def image(name: str) -> str:
    """The name of an image under test. Skips where there is none."""
    tag = os.environ.get("FABULA_IMAGES")
    if not tag:
        pytest.skip("FABULA_IMAGES is not set to the tag of images that `make images` built")
    if shutil.which("buildah") is None:
        pytest.skip("no buildah here: apt-get install buildah")
    full = f"localhost/fabula/{name}:{tag}"
    if full not in buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines():
        pytest.skip(f"no image {full} here: images/build.py makes it")
    return full


def version() -> str:
    """The version of the checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


@dataclass
class Container:
    """A working container, and its root as a folder of this machine."""

    name: str
    root: Path
    volumes: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def mount(self, folder: Path, at: str) -> None:
        """Mount a folder that user 10001 may write to, as a volume with `fsGroup` is."""
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["chown", "-R", f"{USER}:{USER}", str(folder)], check=True)
        self.volumes.append(f"{folder}:{at}")

    def start(self, *command: str, user: int = USER, **variables: str) -> subprocess.Popen[str]:
        """Start a command in it; both streams come together."""
        environment = {"HOME": SCRATCH, "TMPDIR": SCRATCH, **self.environment, **variables}
        options = [f"--volume={one}" for one in self.volumes]
        options += [f"--env={key}={value}" for key, value in environment.items()]
        return subprocess.Popen(
            ["buildah", "run", "--isolation", "chroot", f"--user={user}:{user}", *options, self.name, "--", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str, user: int = USER, code: int = 0, **variables: str) -> str:
        """Run a command to its end, which has to be `code`; what it says."""
        process = self.start(*command, user=user, **variables)
        said, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == code, f"{' '.join(command)}: exit {process.returncode}, not {code}\n{said[-3000:]}"
        return said

    def stage(self, config: dict[str, Any], shard: int = 0) -> str:
        """Run a stage as its pod does."""
        return self.run(
            "fabula-worker",
            config["stage"],
            FABULA_CONFIG=json.dumps(config),
            FABULA_TERMINATION_LOG=f"{SCRATCH}/termination",
            JOB_COMPLETION_INDEX=str(shard),
            OMP_NUM_THREADS="1",
        )

    def close_open_folders(self) -> None:
        """Let nobody but root write to the root file system."""
        for folder in _OPEN:
            if (self.root / folder).is_dir():
                (self.root / folder).chmod(0o755)

    def files(self) -> dict[str, tuple[int, int]]:
        """Size and time of change of every file of the root file system, without what engines mount."""
        found = {}
        for folder, folders, files in os.walk(self.root):
            place = Path(folder).relative_to(self.root)
            if str(place) == ".":
                folders[:] = [one for one in folders if one not in _ENGINE]
            for name in files:
                if str(place / name) not in _ENGINE:
                    status = (Path(folder) / name).lstat()
                    found[str(place / name)] = (status.st_size, status.st_mtime_ns)
        return found

    def bytes(self) -> int:
        """Size of all files, each counted once."""
        seen = {}
        for folder, _, files in os.walk(self.root):
            for name in files:
                status = (Path(folder) / name).lstat()
                seen[status.st_ino] = status.st_size
        return sum(seen.values())


@contextmanager
def container(name: str) -> Iterator[Container]:
    """A container of an image, removed in the end."""
    made = buildah("from", "--pull-never", image(name))
    try:
        found = Container(made, Path(buildah("mount", made)))
        found.close_open_folders()
        yield found
    finally:
        buildah("rm", made)
