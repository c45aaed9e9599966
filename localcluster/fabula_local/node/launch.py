"""The command line, environment and working directory of one container on this machine.

Pure but for looking up programs and making the folders that a subPath names.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fabula_local.kinds import Obj
from fabula_local.node.environment import Sources, container_env, expand
from fabula_local.node.records import PodFolder
from fabula_local.node.rewriting import ServiceHosts, rewrite_paths
from fabula_local.node.volumes import TOKEN_FOLDER

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER")
"""What a container sees of the node's own environment, besides what --pass-env names."""
TERMINATION_LOG = "/dev/termination-log"


class StartError(Exception):
    """The container cannot be started as it is written."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container meets on this node."""

    sources: Sources
    volumes: Mapping[str, Path]
    services: ServiceHosts
    inherited: Mapping[str, str]
    """The part of the node's environment that containers see."""
    api_host: str
    api_port: int
    devices: Sequence[int] = ()
    """GPUs of the pod."""
    node_has_gpus: bool = False
    token_folder: Path | None = None
    """The ServiceAccount's token and CA, where the pod mounts none itself."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Ready to run."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path


def inherited_env(passed: Sequence[str]) -> dict[str, str]:
    """The part of this process's environment that containers may see."""
    return {name: os.environ[name] for name in (*INHERITED, *passed) if name in os.environ}


def build_launch(container: Obj, pod: Obj, around: Surroundings, folder: PodFolder, number: int) -> Launch:
    """How to run a container; StartError or MissingSourceError if it cannot be."""
    variables = container_env(container, pod, around.sources)
    mounts = mount_paths(container, variables, around, folder, number)
    argv = [expand(word, variables) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]
    if not container.get("command"):
        raise StartError(
            f'container "{container["name"]}" has no command: the process node runs commands and uses no image, '
            "so its entrypoint is unknown; set command"
        )
    argv = [rewrite_paths(around.services.rewrite_argument(word), mounts) for word in argv]
    variables = {name: rewrite_paths(value, mounts) for name, value in around.services.rewrite_env(variables).items()}
    env = {**_pod_variables(pod, around), **variables}
    env["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), env.get("PATH", os.defpath)])
    message_path = container.get("terminationMessagePath") or TERMINATION_LOG
    env["FABULA_TERMINATION_LOG"] = mounts[message_path]
    env["FABULA_MOUNTS"] = json.dumps(mounts, sort_keys=True)
    cwd = folder.home
    if container.get("workingDir"):
        cwd = Path(rewrite_paths(container["workingDir"], mounts))
        if not cwd.is_dir():
            raise StartError(f"workingDir {container['workingDir']} is not a directory on this machine")
    program = shutil.which(argv[0] if os.sep not in argv[0] else str(cwd / argv[0]), path=env["PATH"])
    if program is None:
        raise StartError(f'exec: "{argv[0]}": {_why_not(argv[0], cwd)}')
    return Launch([program, *argv[1:]], env, cwd)


def _why_not(program: str, cwd: Path) -> str:
    """Why a program cannot be run, as a container runtime says it."""
    if os.sep not in program:
        return "executable file not found in $PATH"
    path = cwd / program
    if path.is_dir():
        return "is a directory"
    return "permission denied" if path.exists() else f"stat {program}: no such file or directory"


def mount_paths(
    container: Obj, env: Mapping[str, str], around: Surroundings, folder: PodFolder, number: int
) -> dict[str, str]:
    """Path in the container -> path on this machine."""
    paths: dict[str, str] = {}
    for mount in container.get("volumeMounts") or ():
        root = around.volumes[mount["name"]]
        below = mount.get("subPath") or expand(mount.get("subPathExpr", ""), env)
        if ".." in Path(below).parts:
            raise StartError(f"subPath {below} of mount {mount['mountPath']} leaves its volume")
        real = root / below if below else root
        if below and not real.exists():
            real.mkdir(parents=True)
        paths[mount["mountPath"].rstrip("/") or "/"] = str(real)
    if around.token_folder is not None:
        paths.setdefault(TOKEN_FOLDER, str(around.token_folder))
    message_path = container.get("terminationMessagePath") or TERMINATION_LOG
    paths[message_path] = str(folder.termination_message(container["name"], number))
    return paths


def _pod_variables(pod: Obj, around: Surroundings) -> dict[str, str]:
    """Variables that the author did not ask for: inherited ones, and those that every pod has."""
    variables = {
        **around.inherited,
        "HOSTNAME": pod["spec"].get("hostname") or pod["metadata"]["name"],
        "KUBERNETES_SERVICE_HOST": around.api_host,
        "KUBERNETES_SERVICE_PORT": str(around.api_port),
    }
    if around.node_has_gpus or around.devices:
        # Without this a pod that asked for none would see all of them.
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(str(device) for device in around.devices)
    return variables
