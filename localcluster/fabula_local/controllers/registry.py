"""The controllers by name, as `--controllers` names them."""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Protocol

from fabula_local.client import Api
from fabula_local.controllers.deployment import DeploymentController
from fabula_local.controllers.garbage import GarbageController
from fabula_local.controllers.job import JobController
from fabula_local.controllers.namespace import NamespaceController
from fabula_local.controllers.pytorchjob import PyTorchJobController
from fabula_local.controllers.replicaset import ReplicaSetController
from fabula_local.controllers.serviceaccount import ServiceAccountController
from fabula_local.reflector import Caches

log = logging.getLogger("fabula.local.controller")

NAMES = ("job", "pytorchjob", "garbage", "deployment", "serviceaccount", "namespace")
RESTART_SECONDS = 1.0


def check_names(names: Collection[str]) -> None:
    """Raise ValueError for a name that no controller has."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(f"no controller is called {', '.join(unknown)}; there are {', '.join(NAMES)}")


class Runnable(Protocol):
    """A controller: runs until cancelled."""

    name: str

    async def run(self) -> None: ...


def build(
    names: Collection[str], api: Api, caches: Caches, *, backoff_seconds: float, authority: str = ""
) -> list[Runnable]:
    """The controllers of those names.

    `backoff_seconds` is a Job's pause after a first failure; `authority` the CA that namespaces are told of, as PEM.
    """
    check_names(names)
    makers: dict[str, Callable[[], list[Runnable]]] = {
        "job": lambda: [JobController(api, caches, backoff_seconds=backoff_seconds)],
        "pytorchjob": lambda: [PyTorchJobController(api, caches)],
        "garbage": lambda: [GarbageController(api, caches)],
        "deployment": lambda: [DeploymentController(api, caches), ReplicaSetController(api, caches)],
        "namespace": lambda: [NamespaceController(api, caches)],
        "serviceaccount": lambda: [ServiceAccountController(api, caches, authority)],
    }
    return [controller for name in NAMES if name in names for controller in makers[name]()]


async def run_forever(controller: Runnable) -> None:
    """Run a controller; one that fails is started again, and the failure logged."""
    while True:
        try:
            await controller.run()
        except Exception:
            log.exception("controller %s failed; starting it again", controller.name)
        await asyncio.sleep(RESTART_SECONDS)
