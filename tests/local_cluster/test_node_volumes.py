"""Volumes that need the API: tokens that are replaced in time, claims that outlive their pods."""

import os
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.control_plane import Cluster, container
from tests.support.laptop import LaptopApi

from fabula_local.client import Api
from fabula_local.kinds import POD, VOLUME_CLAIM
from fabula_local.node.volumes import VolumeError, Volumes


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    with LaptopApi(tmp_path / "server") as server:
        async with Cluster(Api.from_kubeconfig(server.kubeconfig), "volumes") as found:
            yield found


async def test_a_token_is_replaced_when_most_of_its_life_is_over(cluster: Cluster, tmp_path: Path) -> None:
    source = {"serviceAccountToken": {"path": "token", "audience": "someone", "expirationSeconds": 600}}
    volumes = [{"name": "t", "projected": {"sources": [source]}}]
    pod = await cluster.create(POD, "p", {"containers": [container("true")], "volumes": volumes})
    found = Volumes(cluster.api, pod, tmp_path / "volumes", tmp_path / "claims")
    paths = await found.make()
    token = paths["t"] / "token"
    first = token.read_text()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert await found.refresh_tokens() == pytest.approx(480, abs=10)
    assert token.read_text() == first
    past = time.time() - 500
    os.utime(token, (past, past))
    await found.refresh_tokens()
    assert token.read_text() != first


async def test_a_claim_is_the_same_folder_for_every_pod(cluster: Cluster, tmp_path: Path) -> None:
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    pods = [
        await cluster.create(POD, name, {"containers": [container("true")], "volumes": volumes}) for name in ("a", "b")
    ]
    makers = [Volumes(cluster.api, pod, tmp_path / pod["metadata"]["name"], tmp_path / "claims") for pod in pods]
    with pytest.raises(VolumeError, match='persistentvolumeclaim "data" not found'):
        await makers[0].make()
    resources = {"requests": {"storage": "1Gi"}}
    await cluster.create(VOLUME_CLAIM, "data", {"accessModes": ["ReadWriteOnce"], "resources": resources})
    first, second = [(await maker.make())["d"] for maker in makers]
    assert first == second
    assert first.is_dir()


async def test_a_path_that_leaves_its_volume_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    item = {"path": "x", "fieldRef": {"fieldPath": "metadata.name"}}
    volumes = [{"name": "d", "downwardAPI": {"items": [item]}}]
    pod = await cluster.create(POD, "p", {"containers": [container("true")], "volumes": volumes})
    pod["spec"]["volumes"][0]["downwardAPI"]["items"][0]["path"] = "../../x"
    with pytest.raises(VolumeError, match="leaves its volume"):
        await Volumes(cluster.api, pod, tmp_path / "v", tmp_path / "claims").make()
