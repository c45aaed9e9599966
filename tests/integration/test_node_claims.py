"""Two processes never serve the same controller of one cluster."""

from pathlib import Path

import pytest
from tests.support.laptop import LaptopApi

from fabula_local.client import Api
from fabula_local.controllers.claims import ClaimedError, Claims
from fabula_local.process_node import has_scheduler, missing_controllers


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with LaptopApi(tmp_path / "server") as server:
        api = Api.from_kubeconfig(server.kubeconfig)
        everything = await missing_controllers(api)
        assert {"job", "pytorchjob", "garbage", "deployment"} <= set(everything)
        assert not await has_scheduler(api)
        first, second = Claims(api, holder="first"), Claims(api, holder="second")
        await first.take(["job"])
        assert "job" not in await missing_controllers(api)
        with pytest.raises(ClaimedError, match="controller job is served by another process"):
            await second.take(["job"])
        again = Claims(api, holder="first")
        await again.take(["job"])
        await again.release()
        await second.take(["job"])
        await second.release()
        await first.release()
        await api.close()
