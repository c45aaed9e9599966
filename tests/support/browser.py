"""A page as a browser shows it: headless Chromium by its own protocol, with every request that it would send."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
from tests.support.patience import SECONDS

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH (Debian: chromium)")
_LISTENS = re.compile(rb"DevTools listening on ws://([^/]+)/")


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.requests: list[str] = []
        """Addresses of what was asked for, blocked or not."""
        self.complaints: list[str] = []
        """What the console says of the page."""

    async def open(self, place: Path) -> None:
        """Go there and wait until all is loaded."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.ask(f"{domain}.enable")
        await self.ask("Page.navigate", url=place.as_uri())
        async with asyncio.timeout(SECONDS):
            while (await self._next()).get("method") != "Page.loadEventFired":
                pass

    async def look(self, scheme: Literal["light", "dark"], medium: Literal["screen", "print"] = "screen") -> None:
        """In a colour scheme, on a screen or on paper."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.ask("Emulation.setEmulatedMedia", media=medium, features=features)

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives; the page itself has none."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def picture(self, width: int = 1280) -> bytes:
        """The whole page as a PNG."""
        await self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        return base64.b64decode((await self.ask("Page.captureScreenshot", captureBeyondViewport=True))["data"])

    async def printed(self) -> bytes:
        """The page as a PDF."""
        return base64.b64decode((await self.ask("Page.printToPDF", printBackground=True))["data"])

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(SECONDS):
            while (message := await self._next()).get("id") != number:
                pass
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json()
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(message["params"]["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(message["params"]["exceptionDetails"]))
        return message


class Browser:
    """A running Chromium."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._address, self._session = address, session

    @contextlib.asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        """A tab of its own."""
        async with self._session.put(f"http://{self._address}/json/new?about:blank") as answer:
            target = await answer.json(content_type=None)
        async with self._session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            yield Page(socket)


@contextlib.asynccontextmanager
async def browser(home: Path) -> AsyncIterator[Browser]:
    """Chromium with a profile of its own in `home`."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
        f"--user-data-dir={home}", "about:blank", stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(SECONDS):
            while (listening := _LISTENS.search(line := await process.stderr.readline())) is None:
                assert line, "Chromium ended before it listened"
        draining = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession() as session:
            yield Browser(listening[1].decode(), session)
        draining.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()
