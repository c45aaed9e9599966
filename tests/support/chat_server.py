"""A server that speaks as much of OpenAI's chat completions as engines ask for, and can be told to fail."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

Fault = Callable[[dict[str, Any], int], tuple[int, dict[str, str]] | None]
"""From a request and how many came before it: a status with headers to fail with, or None to answer."""


@dataclass
class ChatServer:
    """What was asked, and at how many places at once."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    fault: Fault | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def reply_to(body: dict[str, Any]) -> str:
    """Words that follow from the request alone: its pictures, its text and, when it samples, its seed."""
    content = body["messages"][0]["content"]
    pictures = [part for part in content if part["type"] == "image_url"]
    for part in pictures:
        Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2]))).load()
    decisive = {"content": content, "seed": body["seed"] if body["temperature"] else 0, "model": body["model"]}
    mark = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:6]
    return f"Speaker 1: {len(pictures)} pictures\n\nSpeaker 2: and {mark}"


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """Serve until the block ends."""
    state = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with state.lock:
                number = len(state.asked)
                state.asked.append(body)
                state.keys.append(self.headers.get("authorization"))
            if state.fault is not None and (failing := state.fault(body, number)) is not None:
                self._send(failing[0], json.dumps({"error": {"message": "no"}}).encode(), failing[1])
                return
            words = reply_to(body).split(" ")
            if body.get("stream"):
                events = [_event({"content": word + " " * (word is not words[-1])}, None) for word in words]
                events += [_event({}, "stop"), b"data: [DONE]\n\n"]
                self._send(200, b"".join(events), {"content-type": "text/event-stream"})
                return
            choice = {
                "index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": " ".join(words)},
            }  # fmt: skip
            usage = {"completion_tokens": len(words), "prompt_tokens": 9, "total_tokens": 9 + len(words)}
            completion = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"]}
            self._send(200, json.dumps({**completion, "choices": [choice], "usage": usage}).encode(), {})

        def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"
