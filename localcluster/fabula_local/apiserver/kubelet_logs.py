"""Pod logs fetched from the node that runs the pod, as a real API server does for nodes that announce a kubelet.

Used where the log files are not below this server's own folder: the node is another process with a state folder of its
own (`fabula node`).
"""

import base64
from collections.abc import AsyncIterator

import aiohttp
from yarl import URL

from fabula_local.apiserver.call import Call
from fabula_local.apiserver.errors import bad_request
from fabula_local.apiserver.logs import LogRequest
from fabula_local.apiserver.store import Store, Stored

_PASSED_ON = ("follow", "previous", "tailLines", "limitBytes", "timestamps", "sinceSeconds", "sinceTime")


def kubelet_log(store: Store, call: Call, stored: Stored, asked: LogRequest) -> AsyncIterator[bytes] | None:
    """The container's log from its node; None where the node announces no kubelet."""
    node = store.get("nodes", "", str((stored.obj.get("spec") or {}).get("nodeName") or ""))
    if node is None:
        return None
    status = node.obj.get("status") or {}
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port")
    addresses = [item["address"] for item in status.get("addresses") or () if item.get("type") == "InternalIP"]
    if not port or not addresses:
        return None
    url = URL.build(
        scheme="https",
        host=addresses[0],
        port=int(port),
        path=f"/containerLogs/{stored.namespace}/{stored.name}/{asked.path.parent.name}",
        query={name: call.query[name] for name in _PASSED_ON if name in call.query},
    )
    return _fetch(url, node.name, _headers(store, node.name))


def _headers(store: Store, node: str) -> dict[str, str]:
    """What proves to the node that an API server asks: the secret that the node has put into `kube-system`."""
    secret = store.get("secrets", "kube-system", f"process-node-{node}")
    encoded = ((secret.obj.get("data") or {}) if secret else {}).get("token")
    return {"Authorization": f"Bearer {base64.b64decode(encoded).decode()}"} if encoded else {}


async def _fetch(url: URL, node: str, headers: dict[str, str]) -> AsyncIterator[bytes]:
    # As a real API server without --kubelet-certificate-authority: the kubelet's certificate is its own.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(url, ssl=False) as reply,
        ):
            if reply.status != 200:
                raise bad_request(f"node {node} has no such log: {(await reply.text())[:200].strip()}")
            async for block in reply.content.iter_any():
                yield block
    except aiohttp.ClientConnectionError as problem:
        raise bad_request(f"node {node} does not answer: {problem}") from None
