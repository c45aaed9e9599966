"""Two processes never serve the same controller of one cluster."""

import asyncio
from pathlib import Path

import pytest
from tests.support.laptop import LaptopApi
from tests.support.patience import SECONDS

from fabula_local.client import Api
from fabula_local.controllers.claims import Claims
from fabula_local.process_node import has_scheduler, missing_controllers


async def test_a_second_process_stands_by(tmp_path: Path) -> None:
    with LaptopApi(tmp_path / "server") as server:
        api = Api.from_kubeconfig(server.kubeconfig)
        assert {"job", "pytorchjob", "garbage", "deployment"} <= set(await missing_controllers(api))
        assert not await has_scheduler(api)
        first, second = Claims(api, holder="first"), Claims(api, holder="second")
        await first.acquire("job")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.acquire("job"), 0.5)
        again = Claims(api, holder="first")
        await asyncio.wait_for(again.acquire("job"), SECONDS)
        waiting = asyncio.create_task(second.acquire("job"))
        await again.release()
        await first.release()
        await asyncio.wait_for(waiting, SECONDS)
        await second.release()
        await api.close()
