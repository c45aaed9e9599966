"""`python -m tests.upgrade`: keeps the objects of this version in tests/upgrade/stored, one file a version.

Run it once for each release, and never again for a released one: the files are what that version left in clusters.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import tomllib
from datetime import UTC
from pathlib import Path
from typing import Any

from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import CONFIG_MAP, JOB, POD, RUNS, SERVICE, Obj
from tests.support.laptop import LaptopApi
from tests.support.operator_driver import Clock, Driver, Feed, install_crds, make_namespace, run_object
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
    cluster = ScriptedCluster(api, namespace, moment.script)
    for _ in range(moment.turns):
        driver.feed(await feed.events())
        await driver.drain()
        await cluster.step()
    # What the periodic lists bring; after it nothing is left to say.
    await driver.resync(namespace)
    objects: list[Obj] = [one for resource in KEPT for one in await api.list(resource, namespace)]
    for one in objects:
        one["metadata"].pop("managedFields", None)
    states = {one["metadata"]["name"]: (one.get("status") or {}).get("state") for one in objects if one["kind"] in RUNS}
    assert {name: states[name] for name in moment.states} == moment.states, states
    return {"at": clock().astimezone(UTC).isoformat(), "namespace": namespace, "objects": objects}


async def keep(folder: Path) -> dict[str, Any]:
    """All moments of this version."""
    with LaptopApi(folder) as laptop:
        api = Api.connect(laptop.kubeconfig)
        try:
            await install_crds(api)
            return {
                name: await come_to(api, moment, f"moment-{number}")
                for number, (name, moment) in enumerate(MOMENTS.items(), start=1)
            }
        finally:
            await api.close()


def main() -> None:
    """Entry of `python -m tests.upgrade`."""
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())["project"]
    with tempfile.TemporaryDirectory() as scratch:
        kept = asyncio.run(keep(Path(scratch)))
    file = HERE / "stored" / f"{project['version']}.json"
    file.write_text(json.dumps(kept, sort_keys=True, separators=(",", ":")) + "\n")
    print(f"wrote {file.relative_to(HERE.parents[1])}: {len(kept)} moments", file=sys.stderr)


if __name__ == "__main__":
    main()
