"""The controllers by name, as `--controllers` names them."""

import asyncio
import logging
from collections.abc import Collection

from fabula_local.client import Api
from fabula_local.controllers.garbage import GarbageController
from fabula_local.controllers.job import JobController
from fabula_local.controllers.pytorchjob import PyTorchJobController
from fabula_local.reflector import Caches

log = logging.getLogger("fabula.local.controller")

NAMES = ("job", "pytorchjob", "garbage", "deployment", "serviceaccount")
RESTART_SECONDS = 1.0


def check_names(names: Collection[str]) -> None:
    """Raise ValueError for a name that no controller has."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(f"no controller is called {', '.join(unknown)}; there are {', '.join(NAMES)}")


def build(names: Collection[str], api: Api, caches: Caches, *, backoff_seconds: float) -> list["Runnable"]:
    """The controllers of those names."""
    check_names(names)
    found: list[Runnable] = []
    if "job" in names:
        found.append(JobController(api, caches, backoff_seconds=backoff_seconds))
    if "pytorchjob" in names:
        found.append(PyTorchJobController(api, caches))
    if "garbage" in names:
        found.append(GarbageController(api, caches))
    return found


Runnable = JobController | PyTorchJobController | GarbageController


async def run_forever(controller: Runnable) -> None:
    """Run a controller; one that fails is started again, and the failure logged."""
    while True:
        try:
            await controller.run()
        except Exception:
            log.exception("controller %s failed; starting it again", controller.name)
        await asyncio.sleep(RESTART_SECONDS)
