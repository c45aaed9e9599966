"""Who may read the logs that a node serves, since other users of the machine can reach its port.

Two ways to prove oneself, as an API server can: the node's secret, new at each start and kept in a Secret that only
those read who may read `kube-system`; or a client certificate of the cluster, whose owner the API server lets read
nodes.
"""

import secrets
import ssl
from hmac import compare_digest

from aiohttp import web

from fabula_local.client import Api, ApiError
from fabula_local.kinds import CONFIG_MAP, NODE, SECRET, Obj, controller_reference

NAMESPACE = "kube-system"
TOKEN_KEY = "token"  # noqa: S105  the name of a key
_CLIENTS = "extension-apiserver-authentication"
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def secret_name(node: str) -> str:
    """Name of the Secret that holds a node's secret."""
    return f"process-node-{node}"


class KubeletAccess:
    """Knows the node's secret, and asks the API server about certificates."""

    def __init__(self, api: Api, node: str) -> None:
        self._api = api
        self._node = node
        self._token = secrets.token_urlsafe(32)

    async def accept_certificates(self, context: ssl.SSLContext) -> None:
        """Let clients show certificates of the authority that the cluster names for its clients, if it names one."""
        config_map = await self._api.find(CONFIG_MAP, _CLIENTS, NAMESPACE)
        authority = ((config_map or {}).get("data") or {}).get("client-ca-file")
        if authority:
            context.load_verify_locations(cadata=authority)
            context.verify_mode = ssl.CERT_OPTIONAL

    async def publish(self) -> None:
        """Put the node's secret where the API server finds it. It goes with the Node."""
        name = secret_name(self._node)
        node = await self._api.get(NODE, self._node)
        owner = {key: value for key, value in controller_reference(node, NODE).items() if key != "blockOwnerDeletion"}
        wanted: Obj = {
            "metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": [owner]},
            "stringData": {TOKEN_KEY: self._token},
        }
        try:
            await self._api.create(SECRET, wanted)
        except ApiError as error:
            if not error.already_exists:
                raise
            await self._api.replace(SECRET, wanted)

    async def check(self, request: web.Request) -> None:
        """401 for who proves nothing, 403 for a certificate whose owner may not read nodes."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and compare_digest(token.strip().encode(), self._token.encode()):
            return
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        if not certificate:
            raise web.HTTPUnauthorized(text="Unauthorized: send the node's secret, or a certificate of the cluster\n")
        subject = [pair for part in certificate.get("subject", ()) for pair in part]
        user = next((value for key, value in subject if key == "commonName"), "")
        if not await self._may_read_nodes(user, [value for key, value in subject if key == "organizationName"]):
            raise web.HTTPForbidden(text=f"Forbidden (user={user}, verb=get, resource=nodes, subresource=proxy)\n")

    async def _may_read_nodes(self, user: str, groups: list[str]) -> bool:
        asked = {"verb": "get", "resource": "nodes", "subresource": "proxy", "name": self._node}
        spec = {"user": user, "groups": groups, "resourceAttributes": asked}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await self._api.request("POST", _REVIEWS, body=body)
        return bool((answer.get("status") or {}).get("allowed"))
