"""`python -m tests.upgrade`: keeps the objects of this version in tests/upgrade/stored, one file a version.

What a file has stays in it, since that is what the version left in clusters; moments that it lacks are added.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

from fabula_local.manifests.install import pytorchjob_crd
from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import CONFIG_MAP, JOB, POD, PYTORCH_JOB, RUNS, SERVICE, Obj
from tests.support.laptop import LaptopApi
from tests.support.operator_driver import CRD, Clock, Driver, Feed, install_crds, make_namespace, run_object
from tests.support.scripted_cluster import ScriptedCluster
from tests.upgrade.moments import MOMENTS, Moment

HERE = Path(__file__).parent
KEPT = (*RUNS.values(), JOB, POD, SERVICE, CONFIG_MAP)


async def come_to(api: Api, moment: Moment, namespace: str) -> dict[str, Any]:
    """Let a namespace live up to a moment; its objects then."""
    await make_namespace(api, namespace)
    for kind, name, spec in moment.runs:
        await api.request("POST", RUNS[kind].path(namespace), body=run_object(kind, namespace, name, spec))
    clock = Clock()
    driver, feed = Driver(api, clock), Feed(api, namespace)
    await driver.observer.discover()
    cluster = ScriptedCluster(api, namespace, moment.script, pytorch_jobs=moment.trainer)
    for _ in range(moment.turns):
        driver.feed(await feed.events())
        await driver.drain()
        await cluster.step()
    # What the periodic lists bring; after it nothing is left to say.
    await driver.resync(namespace)
    kept = (*KEPT, PYTORCH_JOB) if moment.trainer else KEPT
    objects: list[Obj] = [one for resource in kept for one in await api.list(resource, namespace)]
    for one in objects:
        one["metadata"].pop("managedFields", None)
    states = {one["metadata"]["name"]: (one.get("status") or {}).get("state") for one in objects if one["kind"] in RUNS}
    assert {name: states[name] for name in moment.states} == moment.states, states
    return {"at": clock().astimezone(UTC).isoformat(), "namespace": namespace, "objects": objects}


async def keep(folder: Path, moments: Mapping[str, Moment]) -> dict[str, Any]:
    """Moments of this version."""
    with LaptopApi(folder) as laptop:
        api = Api.connect(laptop.kubeconfig)
        try:
            await install_crds(api)
            # Those with a training operator last: once it is there, it is there for all.
            found = {}
            for number, (name, moment) in enumerate(sorted(moments.items(), key=lambda one: one[1].trainer), start=1):
                if moment.trainer:
                    await api.request("POST", CRD.path(), body=pytorchjob_crd())
                found[name] = await come_to(api, moment, f"moment-{number}")
            return found
        finally:
            await api.close()


def main() -> None:
    """Entry of `python -m tests.upgrade`."""
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())["project"]
    file = HERE / "stored" / f"{project['version']}.json"
    kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        added = asyncio.run(keep(Path(scratch), {name: one for name, one in MOMENTS.items() if name not in kept}))
    file.write_text(json.dumps(kept | added, sort_keys=True, separators=(",", ":")) + "\n")
    print(f"{file.relative_to(HERE.parents[1])}: {', '.join(added) or 'nothing'} added", file=sys.stderr)


if __name__ == "__main__":
    main()
