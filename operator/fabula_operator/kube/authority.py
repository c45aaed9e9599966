"""The status server's certificate authority, in a ConfigMap of each namespace with runs: no pod starts without it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from fabula_operator.kube.client import Api, ApiError
from fabula_operator.kube.resources import CONFIG_MAP
from fabula_operator.render import status_ca

REMEMBERED = timedelta(seconds=10)


class Authority:
    """Sees to the ConfigMap before a child is made."""

    def __init__(
        self, api: Api, certificate: str, deletions: Callable[[str], int], now: Callable[[], datetime]
    ) -> None:
        """`deletions` counts the runs of a namespace that went. With a namespace that is deleted and made again all of
        its runs go, and so what was seen in it counts no more."""
        self._api = api
        self._certificate = certificate
        self._deletions = deletions
        self._now = now
        self._seen: dict[str, tuple[int, datetime]] = {}

    def change(self, certificate: str) -> None:
        """From now on it is this one."""
        self._certificate = certificate
        self._seen.clear()

    async def ensure(self, namespace: str) -> None:
        """Create or mend the ConfigMap, unless it was seen there a moment ago."""
        deletions, now = self._deletions(namespace), self._now()
        seen = self._seen.get(namespace)
        if seen is not None and seen[0] == deletions and now - seen[1] < REMEMBERED:
            return
        wanted = status_ca(namespace, self._certificate)
        name = wanted["metadata"]["name"]
        config_map = await self._api.get(CONFIG_MAP, namespace, name)
        if config_map is None:
            try:
                await self._api.create(CONFIG_MAP, wanted)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
        elif config_map.get("data") != wanted["data"]:
            await self._api.patch(CONFIG_MAP, namespace, name, {"data": wanted["data"]})
        self._seen[namespace] = (deletions, now)
