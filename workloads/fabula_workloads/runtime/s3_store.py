"""The `s3://` store, through boto3: one PUT is atomic, and `If-None-Match: *` makes a commit exclusive.

Retries are botocore's standard mode and not our own: it has full jitter, a retry quota shared by all calls, and knows
which errors are worth it. A failure that outlives it is named and ends the stage with exit 75, to be started again.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fabula_api.uri import S3
from fabula_workloads.runtime.aws_session import new_session
from fabula_workloads.runtime.aws_settings import is_of_settings, strip_settings, unread_file
from fabula_workloads.runtime.failures import NotFound, TryAgain, from_os_error
from fabula_workloads.runtime.s3_errors import CLOCK, REFUSED, code_of, from_s3_error, no_endpoint, no_store
from fabula_workloads.runtime.store import Entry, checked_path

_ATTEMPTS = 5
_CONFLICTS = 8
_TAKEN = frozenset({"PreconditionFailed", "412"})
_TRANSFER_FAILED = {
    "RetriesExceededError": "was cut off in the middle again and again",
    "S3DownloadFailedError": "changed while it was copied",
}
_OF_A_LIST = frozenset({"Name", "KeyCount", "MaxKeys", "IsTruncated", "Contents"})
_SPEECHLESS = frozenset({"400", "403"})
_CONFLICT = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})


@lru_cache(maxsize=4)
def _client(endpoint: str | None) -> Any:
    """One client for the process (they are thread-safe and slow to make). Path style for endpoints that are not AWS."""
    client = new_session().client(
        "s3",
        endpoint_url=endpoint,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=32,
            s3={"addressing_style": "path"} if endpoint else None,
        ),
    )
    client.meta.events.register_first("needs-retry.s3.HeadBucket", _end_of_redirects)
    return client


class _Astray(Exception):
    """A bucket is sent elsewhere, and where is not told."""


def _end_of_redirects(response: tuple[Any, Any] | None, **_: object) -> None:
    """Stop botocore: it asks for the region whoever redirects it, and does so again where that is redirected too."""
    if response is None or response[0].status_code not in (301, 302, 307):
        return
    if "x-amz-bucket-region" not in response[0].headers and not response[1].get("Error", {}).get("Region"):
        raise _Astray


class S3Store:
    """A `Store` below a key prefix of a bucket."""

    def __init__(self, uri: str) -> None:
        strip_settings()
        self.uri = uri
        self._bucket, _, self._prefix = uri.removeprefix(S3).partition("/")

    @property
    def _s3(self) -> Any:
        return _client(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"))

    def read(self, path: str) -> bytes:
        with self._named(path) as key:
            reply = self._stored(self._s3.get_object(Bucket=self._bucket, Key=key), path)
            return cast(bytes, reply["Body"].read())

    def open(self, path: str) -> io.BufferedReader:
        with self._named(path) as key:
            body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
        return io.BufferedReader(_Body(body, f"{self.uri}/{path}"), 256 * 1024)

    def size(self, path: str) -> int:
        """Bytes of an object. Raises NotFound."""
        with self._named(path) as key:
            return int(self._s3.head_object(Bucket=self._bucket, Key=key)["ContentLength"])

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """So many bytes of an object from a place in it. Raises NotFound."""
        with self._named(path) as key:
            asked = f"bytes={start}-{start + length - 1}"
            return cast(bytes, self._s3.get_object(Bucket=self._bucket, Key=key, Range=asked)["Body"].read())

    def write(self, path: str, data: bytes) -> None:
        with self._named(path) as key:
            self._stored(self._s3.put_object(Bucket=self._bucket, Key=key, Body=data), path)

    def write_if_absent(self, path: str, data: bytes) -> bool:
        with self._named(path) as key:
            for _ in range(_CONFLICTS):
                try:
                    reply = self._s3.put_object(Bucket=self._bucket, Key=key, Body=data, IfNoneMatch="*")
                except ClientError as error:
                    code = code_of(error)
                    if code in _TAKEN:
                        # A retry of our own PUT whose answer was lost is refused too: what is there is then ours.
                        return self._lost_answer(error) and self.read(path) == data
                    if code not in _CONFLICT:
                        raise
                else:
                    self._stored(reply, path)
                    return True
        raise TryAgain(f"{self.uri}/{path} is being written by others all the time", "StoreUnavailable")

    def upload(self, local: Path, path: str) -> None:
        with self._named(path) as key, local.open("rb") as file:
            self._s3.upload_fileobj(file, self._bucket, key)

    def download(self, path: str, local: Path) -> None:
        local.parent.mkdir(parents=True, exist_ok=True)
        temporary = local.with_name(f".{local.name[:100]}.{uuid.uuid4().hex}")
        try:
            with self._named(path) as key, temporary.open("wb") as file:
                self._s3.download_fileobj(self._bucket, key, file)
            os.replace(temporary, local)
        finally:
            temporary.unlink(missing_ok=True)

    def exists(self, path: str) -> bool:
        try:
            with self._named(path) as key:
                self._stored(self._s3.head_object(Bucket=self._bucket, Key=key), path)
        except NotFound:
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[Entry]:
        for entry, _ in self.list_tagged(prefix):
            yield entry

    def list_tagged(self, prefix: str = "") -> Iterator[tuple[Entry, str]]:
        """As `list`, with each object's ETag, which changes with its content."""
        wanted = prefix.rstrip("/")
        with self._named(wanted, folder=True) as key:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=key)
            for page in pages:
                if not page.keys() & _OF_A_LIST:
                    raise no_store(self.uri, "answers no list")
                for item in page.get("Contents", ()):
                    path = item["Key"][len(self._prefix) :].lstrip("/")
                    # S3 matches strings; `step-1` must not find `step-10/...`.
                    if not path or (self._prefix and not item["Key"].startswith(self._prefix + "/")):
                        continue
                    if not wanted or path == wanted or path.startswith(wanted + "/"):
                        yield Entry(path, item["Size"]), item["ETag"]

    def delete(self, prefix: str) -> None:
        checked_path(prefix)
        keys = [self._key(entry.path) for entry in self.list(prefix)]
        for start in range(0, len(keys), 1000):
            batch = [{"Key": key} for key in keys[start : start + 1000]]
            with self._named(prefix):
                reply = self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": batch, "Quiet": True})
                if errors := reply.get("Errors"):
                    raise ClientError({"Error": {"Code": errors[0].get("Code", "")}}, "DeleteObjects")

    def child(self, path: str) -> S3Store:
        return S3Store(f"{self.uri}/{checked_path(path)}")

    def _key(self, path: str) -> str:
        return "/".join(part for part in (self._prefix, path) if part)

    @contextmanager
    def _named(self, path: str, folder: bool = False) -> Iterator[str]:
        """The object's key; an error on the way becomes the failure it means. A `folder` may be the store itself."""
        try:
            yield self._key("" if folder and not path else checked_path(path))
        except (BotoCoreError, ClientError) as error:
            raise from_s3_error(self._explained(error, path), f"{self.uri}/{path}".rstrip("/"), self._bucket) from error
        except OSError as error:
            if is_of_settings(error):
                raise unread_file(error) from error
            raise from_os_error(error, f"{self.uri}/{path}") from error
        except ValueError as error:
            # botocore has no kind of its own for this.
            if not str(error).startswith("Invalid endpoint"):
                raise
            raise no_endpoint(error) from error
        except _Astray:
            raise no_store(f"{self.uri}/{path}".rstrip("/"), "sends every request elsewhere") from None
        except Exception as error:
            # Large objects come by boto3's transfers, whose failures are neither botocore's nor exported by boto3.
            if (what := _TRANSFER_FAILED.get(type(error).__name__)) is None:
                raise
            raise TryAgain(f"{self.uri}/{path} {what}", "StoreUnavailable") from error

    def _explained(self, error: BotoCoreError | ClientError, path: str) -> BotoCoreError | ClientError:
        """An answer to HEAD has no body, so a 403 does not say whether keys are wrong or lack a right, nor a 400 which
        region is the right one: a GET does."""
        if (
            not isinstance(error, ClientError)
            or error.operation_name != "HeadObject"
            or code_of(error) not in _SPEECHLESS
        ):
            return error
        try:
            self._s3.get_object(Bucket=self._bucket, Key=self._key(path), Range="bytes=0-0")["Body"].close()
        except ClientError as said:
            return said if code_of(error) != "403" or code_of(said) in (*REFUSED, CLOCK) else error
        except BotoCoreError:
            pass
        return error

    def _stored(self, reply: dict[str, Any], path: str) -> dict[str, Any]:
        """An answer about an object. Raises ConfigInvalid for one without what every store sends: it is some page."""
        if not reply.get("ETag"):
            raise no_store(f"{self.uri}/{path}", "answers without an ETag")
        return reply

    @staticmethod
    def _lost_answer(error: ClientError) -> bool:
        return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


class _Body(io.RawIOBase):
    """A response body as a raw stream, so that BufferedReader gives it lines."""

    def __init__(self, body: Any, uri: str) -> None:
        self._body, self._uri = body, uri

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._body.read(len(buffer))
        except (BotoCoreError, OSError) as error:
            raise TryAgain(f"{self._uri}: the connection broke in the middle", "StoreUnavailable") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


def download_tree(uri: str, cache: Path) -> Path:
    """Local copy of an object or of a folder of objects, kept in `cache` under a name that changes with the content."""
    folder, _, name = uri.rpartition("/")
    whole = S3Store(uri)
    objects = sorted(whole.list_tagged(), key=lambda pair: pair[0].path)
    store, strip = (whole, "") if objects else (S3Store(folder), name)
    objects = objects or list(store.list_tagged(name))
    if not objects:
        raise NotFound(uri)
    tags = "\n".join(f"{entry.path} {entry.size} {tag}" for entry, tag in objects)
    place = cache / hashlib.sha256(f"{uri}\n{tags}".encode()).hexdigest()[:24]
    target = place / name
    if target.exists():
        return target
    partial = cache / f".partial-{uuid.uuid4().hex}"
    try:
        for entry, _ in objects:
            local = partial / name / entry.path if not strip else partial / name
            store.download(entry.path, local)
            if local.stat().st_size != entry.size:
                raise TryAgain(f"{uri}/{entry.path} changed while it was copied", "StoreUnavailable")
        try:
            os.rename(partial, place)
        except OSError:
            if not target.exists():  # else another process of this pod was quicker, with the same content
                raise
    except OSError as error:
        raise from_os_error(error, str(place)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target
