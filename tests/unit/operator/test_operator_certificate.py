"""The status server's certificate: made, renewed before it ends, taken without a restart."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.operator_driver import DATASET_SPEC, run_object
from tests.support.patience import eventually

from fabula_operator.certificate import LIFE, Pair, ends, issue, make_authority, may_sign, why_renew
from fabula_operator.certificate_job import ensure
from fabula_operator.handlers import certificates
from fabula_operator.handlers.certificates import ServedCertificate
from fabula_operator.kube.apply import Applier
from fabula_operator.kube.cache import Cache
from fabula_operator.kube.client import Api, ApiError
from fabula_operator.kube.resources import SECRET, Obj, Resource
from fabula_operator.render import WorkerSettings

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = ["fabula-status.fabula-system.svc", "127.0.0.1"]


class Store(Api):
    """Secrets in memory; the first write meets a conflict where that is asked for."""

    def __init__(self, *, conflicts: int = 0) -> None:
        self.secrets: dict[str, Obj] = {}
        self.conflicts = conflicts

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        assert resource is SECRET
        return self.secrets.get(name)

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        return await self.replace(resource, obj)

    async def replace(self, resource: Resource, obj: Obj) -> Obj:
        if self.conflicts:
            self.conflicts -= 1
            raise ApiError(409, "Conflict", "somebody was faster")
        self.secrets[obj["metadata"]["name"]] = obj
        return obj


@pytest.mark.parametrize(
    ("names", "later", "why"),
    [
        (NAMES, timedelta(days=1), None),
        (NAMES[:1], timedelta(days=1), None),
        (NAMES, LIFE * 0.6, None),
        (NAMES, LIFE * 0.7, "it ends on"),
        ([*NAMES, "other.svc"], timedelta(0), "it does not name other.svc"),
    ],
    ids=["fresh", "fewer names", "half its life", "a third left", "another name"],
)
def test_when_a_certificate_is_made_anew(names: list[str], later: timedelta, why: str | None) -> None:
    made = issue(NAMES, make_authority(NOW), NOW)
    found = why_renew(made.certificate, names, NOW + later)
    assert found is None if why is None else found is not None and found.startswith(why)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_what_cannot_be_read_is_made_anew(content: bytes | None) -> None:
    assert why_renew(content, NAMES, NOW) is not None


async def test_a_renewal_keeps_the_authority_that_workers_know() -> None:
    api = Store()
    assert "there is none" in await ensure(api, "system", "tls", NAMES, NOW)
    first = api.secrets["tls"]["data"]
    assert "serves" in await ensure(api, "system", "tls", NAMES, NOW + timedelta(days=10))
    assert api.secrets["tls"]["data"] == first
    await ensure(api, "system", "tls", NAMES, NOW + LIFE * 0.8)
    second = api.secrets["tls"]["data"]
    assert second["tls.crt"] != first["tls.crt"]
    assert second["ca.crt"] == first["ca.crt"]
    # Nine years on the authority would end before what it signs.
    await ensure(api, "system", "tls", NAMES, NOW + timedelta(days=3300))
    assert api.secrets["tls"]["data"]["ca.crt"] != first["ca.crt"]


async def test_two_jobs_at_once_end_with_one_certificate() -> None:
    api = Store(conflicts=2)
    assert "made" in await ensure(api, "system", "tls", NAMES, NOW)
    with pytest.raises(ApiError, match="all the time"):
        await ensure(Store(conflicts=99), "system", "tls", NAMES, NOW)


def test_an_authority_that_cannot_be_read_signs_nothing() -> None:
    authority = make_authority(NOW)
    assert may_sign(authority, NOW)
    assert not may_sign(None, NOW)
    assert not may_sign(Pair(authority.certificate, b"no key"), NOW)
    assert not may_sign(Pair(b"no certificate", authority.key), NOW)


def write(folder: Path, authority: Pair, server: Pair) -> None:
    (folder / "tls.crt").write_bytes(server.certificate)
    (folder / "tls.key").write_bytes(server.key)
    (folder / "ca.crt").write_bytes(authority.certificate)


async def seen_by_a_client(served: ServedCertificate) -> bytes:
    """The certificate that a connection of now is shown, in DER; checked against the authority."""

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0, ssl=served.context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        trust = ssl.create_default_context(cadata=served.authority)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
    return found


async def test_renewed_files_are_served_without_a_restart(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = make_authority(now)
    write(tmp_path, authority, issue(NAMES, authority, now))
    served = ServedCertificate(tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "ca.crt")
    assert not served.take()
    before = await seen_by_a_client(served)
    renewed = issue(NAMES, authority, now, timedelta(days=3))
    write(tmp_path, authority, renewed)
    assert served.take()
    assert await seen_by_a_client(served) != before
    assert served.ends == ends(renewed.certificate)


@pytest.mark.parametrize("renewed", ["tls.crt", "tls.key"])
async def test_files_that_do_not_fit_leave_the_former_certificate(tmp_path: Path, renewed: str) -> None:
    now = datetime.now(UTC)
    authority = make_authority(now)
    server = issue(NAMES, authority, now)
    write(tmp_path, authority, server)
    served = ServedCertificate(tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "ca.crt")
    before = await seen_by_a_client(served)
    other = issue(NAMES, authority, now)
    (tmp_path / renewed).write_bytes(other.certificate if renewed == "tls.crt" else other.key)
    with pytest.raises(ssl.SSLError):
        served.take()
    assert served.ends == ends(server.certificate)
    assert await seen_by_a_client(served) == before


class Namespaces(Api):
    """ConfigMaps in memory; those of one namespace are refused as long as it is asked for."""

    def __init__(self, refused: str) -> None:
        self.refused = refused
        self.authorities: dict[str, str] = {}

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        return None

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        namespace = obj["metadata"]["namespace"]
        if namespace == self.refused:
            raise ApiError(503, "NoAnswer", "the server is away")
        self.authorities[namespace] = obj["data"]["ca.crt"]
        return obj


async def test_a_namespace_that_refuses_the_authority_keeps_it_from_no_other_and_is_told_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    api, cache = Namespaces(refused="a"), Cache()
    for namespace in ("a", "b"):
        run = run_object("DatasetBuild", namespace, "data", DATASET_SPEC)
        run["metadata"] |= {"uid": namespace, "resourceVersion": "1"}
        cache.put(run)
    worker = WorkerSettings(artifact_root="file:///r", status_url="https://s")
    applier = Applier(api, cache, worker, "authority", lambda: NOW, lambda key: None, "one")
    assert await applier.publish_authority() == {"a": "503 NoAnswer: the server is away"}
    assert api.authorities == {"b": "authority"}

    monkeypatch.setattr(certificates, "RENEWAL_SECONDS", 0)
    asked = 0

    async def tell() -> dict[str, str]:
        nonlocal asked
        asked += 1
        if asked == 3:
            api.refused = ""
        return await applier.publish_authority()

    publishing = asyncio.create_task(certificates.publish(tell, asyncio.Event()))

    async def known() -> bool:
        return "a" in api.authorities

    await eventually(known, "an authority that all know")
    publishing.cancel()
    assert caplog.text.count("not told of the authority yet") == 1
