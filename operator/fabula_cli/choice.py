"""Which cluster a state folder runs: one on the laptop's API, one on kube-apiserver and etcd, or an outside one."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fabula_cli.home import HOME_VARIABLE, Home, default_home

ControlPlane = Literal["laptop", "assets"]
_DOCKER_SOCKET = "/var/run/docker.sock"


class ChoiceError(Exception):
    """What was asked for cannot be run; the message says what to give."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One cluster."""

    control_plane: ControlPlane = "laptop"
    assets: Path | None = None
    """Folder with kube-apiserver and etcd, for `assets`."""
    outside: Path | None = None
    """Kubeconfig of an outside cluster; there is no control plane of ours then."""

    def to_wire(self) -> dict[str, str]:
        """As it stands in the supervisor's state file."""
        paths = {"assets": self.assets, "kubeconfig": self.outside}
        return {"controlPlane": self.control_plane, **{key: str(path) for key, path in paths.items() if path}}

    def arguments(self) -> list[str]:
        """As the supervisor's command line takes it."""
        paths = {"--assets": self.assets, "--kubeconfig": self.outside}
        given = [part for option, path in paths.items() if path for part in (option, str(path))]
        return ["--control-plane", self.control_plane, *given]

    def __str__(self) -> str:
        if self.outside:
            return f"the cluster of {self.outside}"
        return f"kube-apiserver and etcd of {self.assets}" if self.assets else "the laptop's own API"


def last_choice(home: Home) -> Choice:
    """What this state folder ran last; the laptop's API where it never ran."""
    try:
        kept: dict[str, Any] = json.loads(home.state.read_text()).get("choice", {})
    except (FileNotFoundError, ValueError):
        kept = {}
    assets, outside = kept.get("assets"), kept.get("kubeconfig")
    return Choice(
        "assets" if kept.get("controlPlane") == "assets" else "laptop",
        Path(assets) if assets else None,
        Path(outside) if outside else None,
    )


def choose(
    home: Home, control_plane: str | None, outside: Path | None, environment: Mapping[str, str] = os.environ
) -> Choice:
    """What was asked for; where nothing was, what the state folder ran last. Raises ChoiceError."""
    from fabula_local.assets import VARIABLE, AssetsError, find_binaries

    if outside is not None:
        if control_plane is not None:
            raise ChoiceError("--kubeconfig names a cluster with a control plane of its own; leave --control-plane out")
        return Choice(outside=outside.resolve())
    last = last_choice(home)
    if control_plane is None and last.control_plane == "laptop":
        return last
    if control_plane == "laptop":
        return Choice()
    if control_plane not in (None, "assets"):
        raise ChoiceError(f"--control-plane is {control_plane!r}; it is `laptop` or `assets`")
    named = environment.get(VARIABLE)
    folder = Path(named).resolve() if named else last.assets
    try:
        find_binaries(folder)
    except AssetsError as error:
        raise ChoiceError(f"--control-plane assets: {error}") from None
    return Choice("assets", folder)


def real_clusters(
    environment: Mapping[str, str] = os.environ,
    which: Callable[[str], str | None] = shutil.which,
    docker_answers: Callable[[], bool] | None = None,
) -> str:
    """How to run on a real cluster, by what this machine has. A state folder's own kubeconfig names none."""
    config = environment.get("KUBECONFIG")
    if config and not Path(config).is_relative_to(environment.get(HOME_VARIABLE) or default_home()):
        return f"KUBECONFIG is set: `fabula up --kubeconfig {config}` runs on that cluster."
    make = {
        "kind": "kind create cluster --kubeconfig kind.yaml",
        "k3d": "k3d cluster create fabula --kubeconfig-update-default=false && k3d kubeconfig get fabula > kind.yaml",
    }
    for program, command in make.items():
        if which(program) and (docker_answers or _docker_answers)():
            return f"Docker and {program} are here: `{command}`, then `fabula up --kubeconfig kind.yaml`."
    return "With Docker: `kind create cluster --kubeconfig kind.yaml`, then `fabula up --kubeconfig kind.yaml`."


def _docker_answers() -> bool:
    """Whether something listens where Docker does."""
    address = os.environ.get("DOCKER_HOST", f"unix://{_DOCKER_SOCKET}")
    if not address.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(address.removeprefix("unix://"))
        except OSError:
            return False
    return True
