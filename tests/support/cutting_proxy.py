"""What may happen between a worker and its S3 store: answers that are cut off, and objects that are denied."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

_DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_OF_THE_CONNECTION = {"transfer-encoding", "connection"}


class CuttingProxy:
    """`with CuttingProxy(server.endpoint) as proxy: proxy.cuts["bucket/key"] = 2`: two answers for that object end
    after half of their bytes."""

    def __init__(self, endpoint: str) -> None:
        self._target = urlsplit(endpoint).netloc
        self.cuts: dict[str, int] = {}
        """By object, how many answers are still to be cut."""
        self.denied: set[str] = set()
        self.asked: list[str] = []
        """Each object that was asked for, as often as it was."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._lock = threading.Lock()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                proxy._pass(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is told."""

        return Handler

    def _pass(self, asked: BaseHTTPRequestHandler) -> None:
        name = urlsplit(asked.path).path.lstrip("/")
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        if name in self.denied:
            asked.send_response(403)
            asked.send_header("Content-Length", str(len(_DENIED)))
            asked.end_headers()
            if asked.command != "HEAD":
                asked.wfile.write(_DENIED)
            return
        connection = http.client.HTTPConnection(self._target)
        # As it was signed, its Host included.
        connection.request(asked.command, asked.path, body, dict(asked.headers.items()))
        answer = connection.getresponse()
        data = answer.read()
        asked.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in _OF_THE_CONNECTION:
                asked.send_header(key, value)
        asked.end_headers()
        if asked.command == "GET":
            with self._lock:
                self.asked.append(name)
                cut = self.cuts.get(name, 0) > 0
                if cut:
                    self.cuts[name] -= 1
            asked.wfile.write(data[: len(data) // 2] if cut else data)
            if cut:
                asked.close_connection = True
        connection.close()
