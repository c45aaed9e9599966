"""How many object writes a second the laptop's API server takes over HTTPS, with watchers connected.

    python benchmarks/api/writes.py [--writes 3000] [--clients 8]

Starts a server on a temporary folder, connects `kubectl get -w` and a kopf operator to the kind that is written, and
creates, patches and updates the status of custom resources through keep-alive connections. Client, watchers and server
share the machine.
"""

import argparse
import asyncio
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.support.laptop import LaptopApi

PLURAL = "measurements"
PATH = f"/apis/bench.example.com/v1/namespaces/default/{PLURAL}"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{PLURAL}.bench.example.com"},
    "spec": {
        "group": "bench.example.com",
        "scope": "Namespaced",
        "names": {"plural": PLURAL, "kind": "Measurement"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "rank": {"type": "integer", "minimum": 1, "default": 16},
                                    "steps": {"type": "array", "maxItems": 64, "items": {"type": "string"}},
                                },
                                "x-kubernetes-validations": [{"rule": "self.rank < 1000"}],
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}
OPERATOR = """
import kopf

@kopf.on.event("bench.example.com", "v1", "measurements")
async def seen(**_):
    pass
"""


async def _write(session: aiohttp.ClientSession, first: int, count: int) -> list[float]:
    """Create, patch the status, patch the spec: three writes an object; returns each write's seconds."""
    taken = []
    for number in range(first, first + (count + 2) // 3):
        name = f"m-{number}"
        body = {
            "apiVersion": "bench.example.com/v1",
            "kind": "Measurement",
            "metadata": {"name": name, "labels": {"bench": "writes"}},
            "spec": {"steps": [f"step-{index}" for index in range(16)]},
        }
        status = {"status": {"step": 1, "conditions": [{"type": "Running", "status": "True"}]}}
        merge = {"Content-Type": "application/merge-patch+json"}
        for method, path, content, headers in (
            ("POST", PATH, body, {"Content-Type": "application/json"}),
            ("PATCH", f"{PATH}/{name}/status", status, merge),
            ("PATCH", f"{PATH}/{name}", {"spec": {"rank": 32}}, merge),
        ):
            begin = time.perf_counter()
            async with session.request(method, path, data=json.dumps(content), headers=headers) as answer:
                text = await answer.text()
                assert answer.status in (200, 201), text
            taken.append(time.perf_counter() - begin)
    return taken


async def _measure(config: dict[str, Any], authority: Path, writes: int, clients: int) -> tuple[float, list[float]]:
    url = config["clusters"][0]["cluster"]["server"]
    token = config["users"][0]["user"]["token"]
    context = ssl.create_default_context(cafile=authority)
    connector = aiohttp.TCPConnector(ssl=context, limit=clients)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as session:
        share = writes // clients
        begin = time.perf_counter()
        parts = await asyncio.gather(*(_write(session, index * share, share) for index in range(clients)))
        seconds = time.perf_counter() - begin
    taken = sorted(duration for part in parts for duration in part)
    return seconds, taken


def main() -> None:
    """Run and print a table row."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--writes", type=int, default=3000)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, LaptopApi(Path(folder) / "state") as api:
        environment = {**api.environment(), "HOME": folder}
        kubectl = str(Path(sys.executable).parent / "kubectl")
        subprocess.run(
            [kubectl, "apply", "-f", "-"], input=json.dumps(CRD), env=environment, text=True, check=True, stdout=2
        )
        operator = Path(folder) / "operator.py"
        operator.write_text(OPERATOR)
        seen = Path(folder) / "seen.txt"
        with seen.open("w") as out:
            watchers = [
                subprocess.Popen([kubectl, "get", PLURAL, "-w", "--no-headers"], env=environment, stdout=out),
                subprocess.Popen(
                    [sys.executable, "-m", "kopf", "run", "--standalone", "-n", "default", "-q", str(operator)],
                    env=environment,
                    stderr=subprocess.DEVNULL,
                ),
            ]
            try:
                time.sleep(3)
                config = yaml.safe_load(api.kubeconfig.read_text())
                authority = api.state_dir / "pki" / "ca.crt"
                seconds, taken = asyncio.run(_measure(config, authority, options.writes, options.clients))
                deadline = time.monotonic() + 30
                while len(seen.read_text().splitlines()) < len(taken) and time.monotonic() < deadline:
                    time.sleep(0.1)
            finally:
                for process in watchers:
                    process.terminate()
                    process.wait()
        told = len(seen.read_text().splitlines())
    median, late = taken[len(taken) // 2] * 1000, taken[int(len(taken) * 0.99)] * 1000
    print("| cores | load average before | clients | writes | writes/s | median ms | p99 ms | events kubectl saw |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {os.cpu_count()} | {load:.1f} | {options.clients} | {len(taken)} | {len(taken) / seconds:.0f} "
        f"| {median:.1f} | {late:.1f} | {told} |"
    )


if __name__ == "__main__":
    main()
