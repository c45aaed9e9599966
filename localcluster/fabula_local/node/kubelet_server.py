"""Serves pod logs over HTTPS as a kubelet does, for API servers that fetch them from the node.

Reads only, on loopback only. The API server is not asked who it is: whoever may run programs on this machine as another
user can read the logs here, as the documentation says.
"""

import asyncio
import ssl
from pathlib import Path

import trustme
from aiohttp import web

from fabula_local.node.settings import NodeSettings

POLL_SECONDS = 0.2
CHUNK_BYTES = 65536


class KubeletServer:
    """GET /containerLogs/{namespace}/{pod}/{container}."""

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen on a free port of 127.0.0.1; the port."""
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        app.router.add_get("/healthz", _healthz)
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", self._settings.name).configure_cert(context)
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
        # A pod's folder ends in its uid; of pods with the same name the latest is meant.
        folders = list(self._settings.pods_dir.glob(f"{info['namespace']}_{info['pod']}_*"))
        if not folders:
            return None
        folder = max(folders, key=lambda path: path.stat().st_mtime) / info["container"]
        numbers = sorted(int(path.stem) for path in folder.glob("*.log") if path.stem.isdigit())
        if request.query.get("previous") == "true":
            numbers = numbers[:-1]
        return folder / f"{numbers[-1]}.log" if numbers else None

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        path = self._current(request)
        if path is None:
            raise web.HTTPNotFound(text=f"no logs of container {request.match_info['container']} on this node\n")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        limit = int(request.query.get("limitBytes", 0)) or None
        position = _tail_start(path, request.query.get("tailLines"))
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


def _tail_start(path: Path, lines: str | None) -> int:
    """Where the last `lines` lines begin."""
    if lines is None:
        return 0
    content = path.read_bytes()
    wanted = int(lines)
    if wanted == 0:
        return len(content)
    kept = content.splitlines(keepends=True)[-wanted:]
    return len(content) - sum(map(len, kept))


async def _healthz(request: web.Request) -> web.Response:
    return web.Response(text="ok")
