"""A proxy before an API server, as some clusters have one: it can hold watch streams back, as a bad one does."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import trustme
import yaml
from aiohttp import web

_OF_THE_CONNECTION = {"transfer-encoding", "content-length", "connection", "content-encoding", "host"}


class HoldingProxy:
    """Passes everything on; while `holds` is set, nothing of a watch."""

    def __init__(self, kubeconfig: Path) -> None:
        """`kubeconfig` is that of the server, with a token for its user."""
        self._config = yaml.safe_load(kubeconfig.read_text())
        self._server = str(self._config["clusters"][0]["cluster"]["server"])
        self.holds = False
        self._client: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def serve(self, folder: Path) -> AsyncIterator[Path]:
        """Serve; yields a kubeconfig for the same user by way of the proxy."""
        authority = trustme.CA()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        authority.cert_pem.write_to_path(str(folder / "proxy.crt"))
        connector = aiohttp.TCPConnector(ssl=False, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as self._client:
            runner = web.ServerRunner(web.Server(self._pass), shutdown_timeout=0.1)  # type: ignore[arg-type]
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
                await site.start()
                port = runner.addresses[0][1]
                cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(folder / "proxy.crt")}
                self._config["clusters"][0]["cluster"] = cluster
                (folder / "proxy.kubeconfig").write_text(yaml.safe_dump(self._config))
                yield folder / "proxy.kubeconfig"
            finally:
                await runner.cleanup()

    async def _pass(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._client is not None
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _OF_THE_CONNECTION}
        watch = request.query.get("watch") in ("true", "1")
        url = self._server + request.raw_path
        async with self._client.request(request.method, url, headers=headers, data=await request.read()) as answer:
            kept = {key: value for key, value in answer.headers.items() if key.lower() not in _OF_THE_CONNECTION}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for block in answer.content.iter_any():
                while watch and self.holds:
                    await asyncio.sleep(0.05)
                await response.write(block)
            await response.write_eof()
        return response
