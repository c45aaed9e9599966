"""The artifact store as this machine reaches it: where its root is, and opening what lies below it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fabula_cli.access import Access
from fabula_cli.exits import CommandFailed, Exit
from fabula_cli.home import Home, NotRunning, default_home
from fabula_kube.connection import NoAnswer
from fabula_kube.errors import ApiError
from fabula_kube.kinds import DEPLOYMENT

if TYPE_CHECKING:
    from fabula_workloads.runtime.store import Store

VARIABLE = "FABULA_ARTIFACT_ROOT"
ArtifactRoot = Annotated[
    str | None, typer.Option("--artifact-root", help=f"Default: ${VARIABLE}, else what the operator was told.")
]
_OPTION = "--artifact-root="


def operators(reach: Access) -> list[dict[str, Any]]:
    """Deployments of the operator that the user may see, as they are on the wire. None on a laptop."""
    return reach.client.list(DEPLOYMENT, None, "app.kubernetes.io/name=fabula-operator")


def root_told(deployments: list[dict[str, Any]]) -> str | None:
    """The artifact root that an operator's Deployment gives it."""
    for deployment in deployments:
        for container in deployment["spec"]["template"]["spec"].get("containers", ()):
            for word in (*container.get("command", ()), *container.get("args", ())):
                if word.startswith(_OPTION):
                    return str(word.removeprefix(_OPTION))
    return None


def artifact_root(reach: Access, given: str | None) -> str | None:
    """The root: as given, as the environment has it, as the operator's Deployment or the laptop's cluster was told."""
    if known := given or os.environ.get(VARIABLE):
        return known
    # Most users may not list Deployments of all namespaces.
    with contextlib.suppress(ApiError, NoAnswer):
        if root := root_told(operators(reach)):
            return root
    home = Home(default_home())
    try:
        state = home.read_state()
    except NotRunning:
        return None
    server = reach.client.credentials.server
    ours = home.kubeconfig.exists() and server in home.kubeconfig.read_text()
    return state.get("artifactRoot") if ours else None


@contextmanager
def opened(uri: str) -> Iterator[Store]:
    """The store rooted at a folder. What goes wrong with it is raised as CommandFailed, with what to do."""
    try:
        from fabula_workloads.runtime.failures import ConfigInvalid, NotFound, WorkerError
        from fabula_workloads.runtime.open_store import open_store
    except ImportError as error:
        words = f"reading the store needs {error.name}: pip install '.[worker]' in the checkout"
        raise CommandFailed(Exit.STORE, words) from None
    try:
        yield open_store(uri)
    except NotFound as error:
        raise CommandFailed(Exit.ABSENT, f"{error} is not in the store as this machine reaches it") from None
    except ConfigInvalid as error:
        # A setting of this machine's own, which is named: where the store lies is no part of it.
        raise CommandFailed(Exit.STORE, f"{uri} cannot be read: {error}") from None
    except (WorkerError, OSError) as error:
        where = "a volume of the cluster" if uri.startswith("file://") else "a bucket"
        words = f"{uri} cannot be read from here: {error}. It may be {where} that only pods reach: run this where it is"
        raise CommandFailed(Exit.STORE, words) from None
