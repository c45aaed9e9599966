"""A stand-in for judges, on loopback: Bedrock's Converse and OpenAI's chat completions, with habits that are known.

The model's name says how it judges: `stand-in.honest` counts the good sentences of an answer that stand in it once,
`stand-in.first` takes the first, `stand-in.longer` the longer, `stand-in.random` guesses, `stand-in.garbled` answers in
prose at first, and `stand-in.mute` always.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.support.patience import SECONDS

KEY = "key-of-the-tests"


@dataclass
class JudgeServer:
    """Change its fields between two requests to change how it behaves."""

    good: frozenset[str]
    """Sentences that make an answer good."""
    key: str | None = None
    """Bearer token to insist on, of chat completions."""
    throttled: int = 0
    """Requests to turn away before any is answered."""
    refuses_after: int | None = None
    """Answers after which it is out of order, until this is taken back."""
    on_paid: Callable[[int], None] = lambda number: None
    """Called with the number of answers so far, before each is sent."""
    endpoint: str = ""
    bodies: Counter[str] = field(default_factory=Counter)
    """How often each request was answered."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    """Open now. A request of a client that was killed is answered until its connection is closed."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def paid(self) -> int:
        return self.bodies.total()

    def reply(self, model: str, text: str, content: str) -> str:
        habit = model.rpartition(".")[2]
        if habit == "mute" or (habit == "garbled" and "could not be read" not in text):
            return "I prefer the second one, all things considered."
        answers = re.findall(r"<answer(?:_[AB])?>\n(.*?)\n</answer", text, re.S)
        keys = re.findall(r'^- "([a-z_-]+)"', text, re.M)
        if len(answers) == 1:
            mark: Any = 3 if habit == "constant" else min(5, self.quality(answers[0]))
        else:
            mark = self.choice(habit, answers, content)
        verdict = {key: "Because of the harbour." if key == "reason" else mark for key in keys}
        return f"Let me see.\n```json\n{json.dumps(verdict)}\n```"

    def choice(self, habit: str, answers: list[str], content: str) -> str:
        if habit == "first":
            return "A"
        if habit == "random":
            return "AB"[int(content[:8], 16) % 2]
        measure = [len(answer.split()) if habit == "longer" else self.quality(answer) for answer in answers]
        return "tie" if measure[0] == measure[1] else "AB"[measure[1] > measure[0]]

    def quality(self, answer: str) -> int:
        return sum(answer.count(sentence) == 1 for sentence in self.good)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: JudgeServer

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def setup(self) -> None:
        with self.server_of.lock:
            self.server_of.connections += 1
        super().setup()

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            with self.server_of.lock:
                self.server_of.connections -= 1

    def do_POST(self) -> None:
        judges = self.server_of
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        request = json.loads(raw)
        converse = self.path.endswith("/converse")
        if not converse and judges.key is not None and self.headers.get("Authorization") != f"Bearer {judges.key}":
            self._send(401, {"error": {"message": "no such key"}})
            return
        if not converse and "max_tokens" in request and request["model"].startswith("newest."):
            self._send(400, {"error": {"message": "use 'max_completion_tokens' instead of 'max_tokens'"}})
            return
        if not converse and request["model"].startswith("odd."):
            self._send(400, {"error": {"message": "temperature is not for this model"}})
            return
        request.pop("requestMetadata", None)
        model = unquote(self.path.split("/")[2]) if converse else request["model"]
        content = hashlib.sha256(json.dumps([model, request], sort_keys=True).encode()).hexdigest()
        with judges.lock:
            if judges.refuses_after is not None and judges.paid >= judges.refuses_after:
                self._send(503, {"message": "out of order"}, {"x-amzn-ErrorType": "ServiceUnavailableException"})
                return
            if judges.throttled > 0:
                judges.throttled -= 1
                self._send(429, {"message": "slower"}, {"Retry-After": "0", "x-amzn-ErrorType": "ThrottlingException"})
                return
            judges.bodies[content] += 1
            judges.requests.append(request)
            number = judges.paid
        judges.on_paid(number)
        parts = request["messages"][-1]["content"]
        text = judges.reply(model, "\n".join(part["text"] for part in parts if "text" in part), content)
        if converse:
            message = {"role": "assistant", "content": [{"text": text}]}
            usage = {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120}
            body = {
                "output": {"message": message},
                "stopReason": "end_turn",
                "usage": usage,
                "metrics": {"latencyMs": 1},
            }
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
            body = {"id": content[:12], "object": "chat.completion", "choices": [choice], "usage": usage}
        self._send(200, body)

    def _send(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True


@contextmanager
def run_judges(judges: JudgeServer) -> Iterator[JudgeServer]:
    """The stand-in, on a port of its own until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"server_of": judges}))
    server.daemon_threads = True
    judges.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield judges
    finally:
        server.shutdown()
        server.server_close()
        thread.join(SECONDS)
