"""A Hugging Face Hub with one repository, `some/model`, which tells what it sent to the end."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.patience import SECONDS

SHA = "a" * 40
FILES = {
    "config.json": b"{}",
    "README.md": b"words" * 100,
    **{f"model-0000{part}-of-00004.safetensors": bytes([part]) * (2_000_000 + part) for part in range(1, 5)},
    "model.safetensors.index.json": b'{"weight_map": {}}',
}
WANTED = FILES.keys() - {"README.md"}


class Hub(BaseHTTPRequestHandler):
    """A Hub with one repository, which tells what it sent to the end; its large files come slowly."""

    sent: Counter[str]
    begun: Counter[str]
    slow: bool
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith(f"/api/models/some/model/tree/{SHA}"):
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": name} for name, content in FILES.items()
            ]
            return self._answer(json.dumps(tree).encode(), {"Content-Type": "application/json"})
        if self.path.startswith("/api/models/some/model"):
            siblings = [{"rfilename": name, "size": len(content)} for name, content in FILES.items()]
            body = json.dumps({"id": "some/model", "modelId": "some/model", "sha": SHA, "siblings": siblings}).encode()
            return self._answer(body, {"Content-Type": "application/json"})
        if (asked := re.fullmatch(rf"/some/model/resolve/{SHA}/(.+)", self.path)) and asked[1] in FILES:
            return self._file(asked[1])
        missing = "RepoNotFound" if self.path.startswith("/api/models/") else "EntryNotFound"
        return self._answer(b"", {"X-Error-Code": missing}, status=404)

    do_HEAD = do_GET

    def _file(self, name: str) -> None:
        content, start = FILES[name], 0
        if given := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(given[1])
        headers = {"ETag": f'"{name}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(content[start:], headers, status=206 if start else 200, name=name)

    def _answer(self, body: bytes, headers: dict[str, str], status: int = 200, name: str | None = None) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if name:
            self.begun[name] += 1
        try:
            if self.slow and len(body) > 1_000_000:
                self.wfile.write(body[:500_000])
                self.wfile.flush()
                self.hold.wait(SECONDS)
                body = body[500_000:]
            self.wfile.write(body)
        except OSError:
            self.close_connection = True
            return
        if name:
            self.sent[name] += 1

    hold: threading.Event

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def running_hub() -> Iterator[tuple[type[Hub], dict[str, str]]]:
    """A hub with counts of its own, and the variables by which the Hub's client finds it."""

    class Ours(Hub):
        sent, begun, slow, hold = Counter(), Counter(), False, threading.Event()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ours)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Ours, {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "NO_PROXY": "127.0.0.1"}
    finally:
        Ours.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()
