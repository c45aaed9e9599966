"""Serves pod logs over HTTPS as a kubelet does, for API servers that fetch them from the node.

Reads only, on loopback only, and only for those who prove themselves (kubelet_access).
"""

import asyncio
import ssl
from pathlib import Path

import trustme
from aiohttp import web

from fabula_local.node.kubelet_access import KubeletAccess
from fabula_local.node.settings import NodeSettings

POLL_SECONDS = 0.2
CHUNK_BYTES = 65536


class KubeletServer:
    """GET /containerLogs/{namespace}/{pod}/{container}."""

    def __init__(self, settings: NodeSettings, access: KubeletAccess) -> None:
        self._settings = settings
        self._access = access
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen on a free port of 127.0.0.1; the port."""
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        app.router.add_get("/healthz", _healthz)
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", self._settings.name).configure_cert(context)
        await self._access.accept_certificates(context)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _current(self, request: web.Request) -> Path | None:
        info = request.match_info
        # A pod's folder ends in its uid; of pods with the same name the latest is meant. Names are compared, never put
        # into a path or a pattern: they come from outside.
        wanted = f"{info['namespace']}_{info['pod']}"
        folders = [path for path in self._settings.pods_dir.iterdir() if path.name.rpartition("_")[0] == wanted]
        if not folders:
            return None
        latest = max(folders, key=lambda path: path.stat().st_mtime)
        folder = next((path for path in latest.iterdir() if path.name == info["container"] and path.is_dir()), None)
        if folder is None:
            return None
        numbers = sorted(int(path.stem) for path in folder.glob("*.log") if path.stem.isdigit())
        if request.query.get("previous") == "true":
            numbers = numbers[:-1]
        return folder / f"{numbers[-1]}.log" if numbers else None

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        await self._access.check(request)
        limit, tail = _number(request, "limitBytes"), _number(request, "tailLines")
        path = self._current(request)
        if path is None:
            raise web.HTTPNotFound(text=f"no logs of container {request.match_info['container']} on this node\n")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        limit = limit or None
        position = _tail_start(path, tail)
        follow = request.query.get("follow") == "true"
        while True:
            over = path.with_suffix(".note").exists()
            with path.open("rb") as file:
                file.seek(position)
                while chunk := file.read(CHUNK_BYTES if limit is None else min(CHUNK_BYTES, limit)):
                    position += len(chunk)
                    await response.write(chunk)
                    if limit is not None and (limit := limit - len(chunk)) <= 0:
                        return response
            if not follow or over:
                await response.write_eof()
                return response
            await asyncio.sleep(POLL_SECONDS)


def _number(request: web.Request, name: str) -> int | None:
    """A whole-number parameter; 400 for anything else."""
    text = request.query.get(name)
    if text is not None and not (text.isascii() and text.isdigit()):
        raise web.HTTPBadRequest(text=f"{name} is {text!r}, but must be a whole number from 0 on\n")
    return None if text is None else int(text)


def _tail_start(path: Path, lines: int | None) -> int:
    """Where the last `lines` lines begin."""
    if lines is None:
        return 0
    content = path.read_bytes()
    if lines == 0:
        return len(content)
    kept = content.splitlines(keepends=True)[-lines:]
    return len(content) - sum(map(len, kept))


async def _healthz(request: web.Request) -> web.Response:
    return web.Response(text="ok")
