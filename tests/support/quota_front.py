"""ResourceQuotas for a test, as they are seen from outside: a front before the laptop's API server, which keeps none.

It answers for the kind, counts pods, and refuses the one too many in the words of Kubernetes' admission. The Job
controller makes pods through it; whoever else asks by way of it sees the quotas.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web
from tests.support.holding_proxy import HoldingProxy
from tests.support.patience import SECONDS

from fabula_local.client import Api
from fabula_local.node.settings import NodeSettings
from fabula_local.process_node import Workers

_PLACE = re.compile(r"/api/v1/namespaces/([^/?]+)/(pods|resourcequotas)(?:\?.*)?")
_ANSWERED = {("pods", "POST"), ("resourcequotas", "GET")}


class QuotaFront(HoldingProxy):
    """`with QuotaFront(kubeconfig, folder) as front: front.pods["team"] = 1`: at most one pod in namespace `team`.

    The server's own Job controller must not run. `front.kubeconfig` leads through it.
    """

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        super().__init__(kubeconfig)
        self._folder = folder
        self.kubeconfig = folder / "proxy.kubeconfig"
        self.pods: dict[str, int] = {}
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._ends = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    def __enter__(self) -> QuotaFront:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        assert self._ready.wait(SECONDS), "the front does not serve"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        async with self.serve(self._folder) as kubeconfig:
            api = Api.from_kubeconfig(kubeconfig)
            workers = Workers(api, NodeSettings(self._folder / "node"), ["job"], node=False)
            await workers.start()
            self._ready.set()
            await self._ends.wait()
            await workers.stop(stop_pods=False)
            await api.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _pass(self, request: web.BaseRequest) -> web.StreamResponse:
        place = _PLACE.fullmatch(request.raw_path)
        if place is None or place[1] not in self.pods or (place[2], request.method) not in _ANSWERED:
            return await super()._pass(request)
        used = await self._used(request, place[1])
        limit = self.pods[place[1]]
        if place[2] == "resourcequotas":
            status = {"hard": {"pods": str(limit)}, "used": {"pods": str(used)}}
            quota = {"metadata": {"name": "few", "namespace": place[1]}, "spec": {"hard": status["hard"]}}
            items = [{**quota, "status": status}]
            return web.json_response({"kind": "ResourceQuotaList", "apiVersion": "v1", "metadata": {}, "items": items})
        if used < limit:
            return await super()._pass(request)
        name = json.loads(await request.read())["metadata"]["name"]
        words = f"exceeded quota: few, requested: pods=1, used: pods={used}, limited: pods={limit}"
        return web.json_response(
            {
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden",
                "message": f'pods "{name}" is forbidden: {words}', "details": {"name": name, "kind": "pods"},
                "code": 403,
            },
            status=403,
        )  # fmt: skip

    async def _used(self, request: web.BaseRequest, namespace: str) -> int:
        """Pods that have not ended, as Kubernetes counts them."""
        assert self._client is not None
        headers = {"Authorization": request.headers["Authorization"]}
        url = f"{self._server}/api/v1/namespaces/{namespace}/pods"
        async with self._client.get(url, headers=headers) as answer:
            pods: list[dict[str, Any]] = (await answer.json())["items"]
        return sum(pod["status"].get("phase") not in ("Succeeded", "Failed") for pod in pods)
