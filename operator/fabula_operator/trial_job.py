"""The command `fabula-trial`: makes one run, waits for its end, and says what it came to. `helm test` runs it as a Pod.

It needs `create`, `get` and `delete` on the kind of its run, in one namespace, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fabula_api.outside import plain
from fabula_operator.kube.client import SERVICE_ACCOUNT, Api, ApiError
from fabula_operator.kube.resources import RUNS, Obj, Resource

logger = logging.getLogger("fabula_operator.trial")
LOOK_SECONDS = 2.0


class TrialFailed(Exception):
    """The run did not succeed; says why, and what to look at."""


def conditions(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The conditions that hold, by their type."""
    listed = (run.get("status") or {}).get("conditions") or ()
    return {condition["type"]: condition for condition in listed if condition["status"] == "True"}


def last_word(run: Mapping[str, Any]) -> str:
    """What a run says of itself, in one line."""
    holds = conditions(run)
    for kind in ("Failed", "Stalled", "Succeeded", "Reconciling"):
        if kind in holds:
            return plain(f"{holds[kind].get('reason')}: {holds[kind].get('message')}")
    return "the operator has not looked at it yet"


def with_fresh_number(run: Obj, path: str, number: int) -> Obj:
    """The run with a number at a field of its spec, so that nothing which lies in the store already is taken for it."""
    if not path:
        return run
    *above, last = path.split(".")
    place = run["spec"]
    for name in above:
        place = place.setdefault(name, {})
    place[last] = number
    return run


async def try_run(api: Api, run: Obj, limit_seconds: float) -> str:
    """Make the run and wait for its end; what it says then. Raises TrialFailed, ApiError."""
    resource, namespace, name = RUNS[run["kind"]], run["metadata"]["namespace"], run["metadata"]["name"]
    until = time.monotonic() + limit_seconds
    await remove(api, resource, namespace, name, until)
    await api.create(resource, run)
    last = ""
    while time.monotonic() < until:
        obj = await api.get(resource, namespace, name)
        if obj is None:
            raise TrialFailed(f"{resource.plural}/{name} was deleted by somebody")
        if (now := last_word(obj)) != last:
            logger.info("%s", now)
            last = now
        if "Failed" in (holds := conditions(obj)):
            raise TrialFailed(f"it failed: {now}. Look at it: kubectl -n {namespace} describe {resource.plural} {name}")
        if "Succeeded" in holds:
            await api.delete(resource, namespace, name, obj["metadata"]["uid"])
            return now
        await asyncio.sleep(LOOK_SECONDS)
    raise TrialFailed(
        f"it has not ended within {limit_seconds:.0f} s: {last}. Look at it: kubectl -n {namespace} describe "
        f"{resource.plural} {name}; where the operator has not looked at it, see the operator's own log"
    )


async def remove(api: Api, resource: Resource, namespace: str, name: str, until: float) -> None:
    """Delete a run that an earlier trial left, and wait until it is gone. Raises TrialFailed."""
    while (left := await api.get(resource, namespace, name)) is not None:
        if time.monotonic() >= until:
            raise TrialFailed(f"{resource.plural}/{name} of an earlier trial is not gone; does the operator run?")
        await api.delete(resource, namespace, name, left["metadata"]["uid"])
        await asyncio.sleep(LOOK_SECONDS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry of `fabula-trial`. Exit code 1 when the run did not succeed."""
    parser = argparse.ArgumentParser(prog="fabula-trial", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, help="kubeconfig file; without it, the cluster this pod runs in")
    parser.add_argument(
        "--service-account", type=Path, default=SERVICE_ACCOUNT, help="folder with this pod's ServiceAccount token"
    )
    parser.add_argument("--file", type=Path, required=True, help="the run, as YAML, with its namespace")
    parser.add_argument("--limit", type=float, default=600, help="seconds until it must have ended (default: 600)")
    parser.add_argument(
        "--fresh", default="", metavar="FIELD", help="field of its spec that gets a new number each time"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level="INFO", stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s")

    async def run() -> str:
        wanted = with_fresh_number(yaml.safe_load(options.file.read_text()), options.fresh, int(time.time()) % 2**31)
        api = Api.connect(options.kubeconfig, account=options.service_account)
        try:
            return await try_run(api, wanted, options.limit)
        finally:
            await api.close()

    try:
        logger.info("it works: %s", asyncio.run(run()))
    except (TrialFailed, ApiError, ValueError) as error:
        logger.error("%s", error)
        sys.exit(1)
