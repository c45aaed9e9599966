"""Gives every namespace what pods expect in it: the ServiceAccount "default" and the cluster's CA.

Only for API servers without a controller-manager; the laptop's own does this itself.
"""

from fabula_local.client import Api, ApiError
from fabula_local.controllers.controller import Controller, Key
from fabula_local.kinds import CONFIG_MAP, NAMESPACE, SERVICE_ACCOUNT, Kind, Obj
from fabula_local.reflector import Caches

ROOT_CA = "kube-root-ca.crt"


class ServiceAccountController(Controller):
    """Reconciles namespaces."""

    name = "serviceaccount"

    def __init__(self, api: Api, caches: Caches, authority: str) -> None:
        super().__init__(api, caches)
        self._authority = authority

    def subscribe(self) -> None:
        self.caches.of(NAMESPACE).on_change(self.enqueue)
        self.caches.of(SERVICE_ACCOUNT).on_change(self._content_changed)
        self.caches.of(CONFIG_MAP).on_change(self._content_changed)

    def _content_changed(self, change: str, obj: Obj) -> None:
        if change == "DELETED" and obj["metadata"]["name"] in ("default", ROOT_CA):
            self.queue.add(("", obj["metadata"]["namespace"]))

    async def reconcile(self, key: Key) -> float | None:
        namespace = self.caches.of(NAMESPACE).get(*key)
        if namespace is None or "deletionTimestamp" in namespace["metadata"]:
            return None
        if self.caches.of(SERVICE_ACCOUNT).get(key[1], "default") is None:
            await self._create(SERVICE_ACCOUNT, key[1], {"metadata": {"name": "default", "namespace": key[1]}})
        if self._authority and self.caches.of(CONFIG_MAP).get(key[1], ROOT_CA) is None:
            content = {"metadata": {"name": ROOT_CA, "namespace": key[1]}, "data": {"ca.crt": self._authority}}
            await self._create(CONFIG_MAP, key[1], content)
        return None

    async def _create(self, kind: Kind, namespace: str, obj: Obj) -> None:
        try:
            await self.api.create(kind, obj, namespace)
        except ApiError as error:
            if not error.already_exists:
                raise
