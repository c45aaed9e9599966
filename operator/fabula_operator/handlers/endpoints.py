"""/healthz, /readyz and /metrics over plain HTTP, for the kubelet and Prometheus."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST


def application(
    text: Callable[[], Awaitable[bytes]], missing: Callable[[], str | None], role: Callable[[], str]
) -> web.Application:
    """The application. `text` is what a scrape is answered; `missing` returns None, or what the operator waits for
    before it is of use; `role` is told by one that is ready."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        waits_for = missing()
        return web.Response(text=f"{waits_for or role()}\n", status=503 if waits_for else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=await text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


async def serve(
    app: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> tuple[web.AppRunner, int]:
    """Serve an application; the runner to clean up, and the port."""
    # Workers keep their connections open; a stop must not wait for them.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls)
    await site.start()
    return runner, int(runner.addresses[0][1])
