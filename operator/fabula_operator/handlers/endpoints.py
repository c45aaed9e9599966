"""/healthz, /readyz and /metrics over plain HTTP, for the kubelet and Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


def application(registry: CollectorRegistry, ready: Callable[[], str | None]) -> web.Application:
    """The application; `ready` returns None, or what is missing."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        missing = ready()
        return web.Response(text="ok\n") if missing is None else web.Response(text=f"{missing}\n", status=503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


async def serve(app: web.Application, host: str, port: int, tls: object = None) -> tuple[web.AppRunner, int]:
    """Serve an application; the runner to clean up, and the port."""
    # Workers keep their connections open; a stop must not wait for them.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls)  # type: ignore[arg-type]
    await site.start()
    return runner, int(runner.addresses[0][1])
