"""The command `fabula-certificate`: makes or renews the status server's certificate in a Secret, as a Job of the chart.

It needs `create` on Secrets and `get` and `update` on this one; the operator itself reads no Secret through the API.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fabula_operator.certificate import Pair, issue, make_authority, may_sign, why_renew
from fabula_operator.kube.client import SERVICE_ACCOUNT, Api, ApiError
from fabula_operator.kube.resources import SECRET, Obj

logger = logging.getLogger("fabula_operator.certificate")
CERTIFICATE, KEY, AUTHORITY, SIGNER = "tls.crt", "tls.key", "ca.crt", "ca.key"


def secret(namespace: str, name: str, authority: Pair, server: Pair) -> Obj:
    """The Secret, of which the chart mounts all but the authority's key."""
    files = {
        CERTIFICATE: server.certificate,
        KEY: server.key,
        AUTHORITY: authority.certificate,
        SIGNER: authority.key,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/part-of": "fabula",
                "app.kubernetes.io/managed-by": "fabula-certificate",
            },
        },
        "type": "Opaque",
        "data": {file: base64.b64encode(content).decode() for file, content in files.items()},
    }


async def ensure(api: Api, namespace: str, name: str, names: Sequence[str], now: datetime) -> str:
    """Make or renew the Secret if that is due; what was done. Raises ApiError."""
    for _ in range(5):
        stored = await api.get(SECRET, namespace, name)
        held = {file: base64.b64decode(text) for file, text in ((stored or {}).get("data") or {}).items()}
        if (why := why_renew(held.get(CERTIFICATE), names, now)) is None:
            return f"secret {namespace}/{name} serves as it is"
        known = Pair(held[AUTHORITY], held[SIGNER]) if AUTHORITY in held and SIGNER in held else None
        authority = known if known is not None and may_sign(known, now) else make_authority(now)
        wanted = secret(namespace, name, authority, issue(names, authority, now))
        try:
            if stored is None:
                await api.create(SECRET, wanted)
            else:
                await api.replace(SECRET, {**stored, "data": wanted["data"]})
        except ApiError as error:
            if error.code != 409:
                raise
            continue  # Another Job was faster; see what it made.
        return f"secret {namespace}/{name} made: {why}"
    raise ApiError(409, "Conflict", f"secret {namespace}/{name} is being written by others all the time")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry of `fabula-certificate`. Exit code 1 when the API server refuses."""
    parser = argparse.ArgumentParser(prog="fabula-certificate", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, help="kubeconfig file; without it, the cluster this pod runs in")
    parser.add_argument(
        "--service-account", type=Path, default=SERVICE_ACCOUNT, help="folder with this pod's ServiceAccount token"
    )
    parser.add_argument("--namespace", required=True, help="namespace of the Secret")
    parser.add_argument("--into", required=True, dest="secret", help="name of the Secret")
    parser.add_argument("--name", action="append", required=True, dest="names", help="DNS name or IP address; repeat")
    options = parser.parse_args(arguments)
    logging.basicConfig(level="INFO", stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s")

    async def run() -> str:
        api = Api.connect(options.kubeconfig, account=options.service_account)
        try:
            return await ensure(api, options.namespace, options.secret, options.names, datetime.now(UTC))
        finally:
            await api.close()

    try:
        logger.info("%s", asyncio.run(run()))
    except (ApiError, ValueError) as error:
        logger.error("%s", error)
        sys.exit(1)
