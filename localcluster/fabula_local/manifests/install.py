"""Installs the kinds that controllers of the laptop cluster serve."""

import asyncio
from pathlib import Path

import yaml

from fabula_local.client import Api, ApiError
from fabula_local.controllers.conditions import is_true
from fabula_local.kinds import CRD, Obj

MANAGED_BY = ("app.kubernetes.io/managed-by", "fabula-local")
ESTABLISHED_SECONDS = 30.0


def pytorchjob_crd() -> Obj:
    """The CustomResourceDefinition of PyTorchJob."""
    definition: Obj = yaml.safe_load(Path(__file__).with_name("pytorchjob.yaml").read_text())
    return definition


async def install_pytorchjob(api: Api) -> None:
    """Install the definition or bring ours up to date; one that somebody else installed is left alone."""
    wanted = pytorchjob_crd()
    name = wanted["metadata"]["name"]
    for _ in range(5):
        stored = await api.find(CRD, name)
        try:
            if stored is None:
                await api.create(CRD, wanted)
            elif (stored["metadata"].get("labels") or {}).get(MANAGED_BY[0]) == MANAGED_BY[1]:
                fresh = {**stored, "spec": {**stored["spec"], **wanted["spec"]}}
                if fresh != stored:
                    await api.replace(CRD, fresh)
        except ApiError as error:
            if not error.conflict:
                raise
            continue
        break
    async with asyncio.timeout(ESTABLISHED_SECONDS):
        while True:
            live = await api.find(CRD, name)
            if live is not None and is_true(live, "Established"):
                return
            await asyncio.sleep(0.1)
