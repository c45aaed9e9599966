"""A Bedrock stand-in on loopback: the wire protocol of Converse and InvokeModel, as nasty as the real one.

Quotas reserve input + maxTokens when a request starts and settle when it ends; every fault of the plan happens on the
wire. It keeps the bill and shows it at `GET /bill`.
"""

from __future__ import annotations

import hashlib
import json
import select
import socket
import ssl
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import trustme
from tests.support import bedrock_model as model
from tests.support.bedrock_bill import Bill, Charge
from tests.support.bedrock_clock import ManualClock, ScaledClock
from tests.support.bedrock_faults import ERRORS, PAGE, Faults
from tests.support.patience import SECONDS

USD_PER_MILLION = {"input": 3.0, "output": 15.0}
USD_PER_IMAGE = 0.08
TOKEN = "bedrock-api-key-of-the-tests"


@dataclass
class Bucket:
    """A minute's quota that fills all the time, up to a minute's worth."""

    per_minute: float | None
    clock: ScaledClock | ManualClock
    level: float = 0
    at: float = 0

    def __post_init__(self) -> None:
        self.level, self.at = self.per_minute or 0, self.clock.now()

    def take(self, amount: float) -> bool:
        if self.per_minute is None:
            return True
        now = self.clock.now()
        self.level = min(self.per_minute, self.level + (now - self.at) * self.per_minute / 60)
        self.at = now
        if self.level < amount:
            return False
        self.level -= amount
        return True

    def settle(self, reserved: float, used: float) -> None:
        if self.per_minute is not None:
            self.level = min(self.per_minute, self.level + reserved - used)


@dataclass
class Bedrock:
    """What the server is made of; change `faults` or `manner` between two requests to change how it behaves."""

    faults: Faults = field(default_factory=Faults)
    manner: model.Manner = field(default_factory=model.Manner)
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    output_weight: float = 1
    """Tokens of quota that one received token takes in the end; 5 for Claude 4 on the real one."""
    clock: ScaledClock | ManualClock = field(default_factory=ScaledClock)
    token: str | None = None
    """Bearer token to insist on; None takes any credentials, SigV4 ones unverified."""
    seconds_per_token: float = 0
    gate: threading.Event | None = None
    """Requests that come in while it is there are answered once it is set."""
    endpoint: str = ""
    certificates: str = ""
    """File with its certificate authority, when it speaks TLS."""
    bill: Bill = field(default_factory=Bill)
    authorizations: set[tuple[str, str]] = field(default_factory=set)
    """How callers showed who they are: the scheme with the key's name or the token, and the session token."""
    in_flight: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.attempts: Counter[str] = Counter()
        self.requests = Bucket(self.requests_per_minute, self.clock)
        self.tokens = Bucket(self.tokens_per_minute, self.clock)

    def environment(self) -> dict[str, str]:
        """Variables with which boto3 finds credentials for it, and nothing of the machine's own.

        A bearer token where it speaks TLS, since botocore sends none over plain HTTP; else a key to sign with.
        """
        if self.certificates:
            credentials = {"AWS_BEARER_TOKEN_BEDROCK": self.token or TOKEN, "AWS_CA_BUNDLE": self.certificates}
        else:
            credentials = {"AWS_ACCESS_KEY_ID": "builder", "AWS_SECRET_ACCESS_KEY": "builder-secret-of-the-tests"}
        return credentials | {
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def admit(self, body: str, tokens: float) -> str | None:
        """The fault that turns a request away, or that is to cut it; None when it may go on. Reserves its quota."""
        with self.lock:
            attempt = self.attempts[body]
            self.attempts[body] += 1
            fault = self.faults.transport(body, attempt, self.clock.now())
            if fault not in (None, "cut"):
                return fault
            if not self.requests.take(1):
                return "throttle"
            if not self.tokens.take(tokens):
                self.requests.settle(1, 0)
                return "throttle"
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return fault

    def settle(self, reserved: float, tokens_in: int, tokens_out: int) -> None:
        """A request ended: what it did not use is given back."""
        with self.lock:
            self.tokens.settle(reserved, tokens_in + self.output_weight * tokens_out)
            self.in_flight -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bedrock: Bedrock

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._send(200, self.bedrock.bill.summary() if self.path == "/bill" else {"ok": True}, uuid.uuid4().hex)

    def do_POST(self) -> None:
        bedrock, length = self.bedrock, int(self.headers.get("Content-Length", "0"))
        began, gate = bedrock.clock.now(), bedrock.gate
        if len(raw := self.rfile.read(length)) < length:  # the caller died while it sent
            self.close_connection = True
            return
        parts = self.path.split("/")
        name, operation = unquote(parts[2]), parts[3]
        request = json.loads(raw)
        metadata = request.pop("requestMetadata", None) or json.loads(
            self.headers.get("X-Amzn-Bedrock-Request-Metadata", "{}")
        )
        content = hashlib.sha256(json.dumps([name, operation, request], sort_keys=True).encode()).hexdigest()
        facts = {
            "operation": operation, "model": name, "body": content, "request_id": str(uuid.uuid4()),
            "item": metadata.get("call", content),
        }  # fmt: skip
        if refusal := self._unauthorised():
            self._error(refusal, facts)
            return
        if "." not in name:
            self._error("unknown_model", facts)
            return
        speaks = operation == "converse" or "messages" in request
        tokens_in = model.num_tokens(_prompt(request)) if speaks else 0
        most = _most_tokens(request) if speaks else 0
        if bedrock.faults.page:
            self._page()
            return
        fault = bedrock.admit(content, tokens_in + most)
        if fault not in (None, "cut"):
            self._error(fault, facts)
            return
        tokens_out = 0
        try:
            if speaks:
                blocks, stop, tokens_out = self._write(request, content, most)
                make = _converse_reply if operation == "converse" else _invoke_reply
                reply = make(blocks, stop, tokens_in, tokens_out)
            else:
                reply = self._paint(request, content)
            bedrock.clock.sleep(bedrock.faults.seconds(content) + tokens_out * bedrock.seconds_per_token)
            if gate is not None:
                gate.wait(SECONDS)
        finally:
            bedrock.settle(tokens_in + most, tokens_in, tokens_out)
        images = len(reply.get("images", ()))
        delivered = fault != "cut" and not self._caller_is_gone()
        usd = (tokens_in * USD_PER_MILLION["input"] + tokens_out * USD_PER_MILLION["output"]) / 1e6
        bedrock.bill.add(
            Charge(
                at=bedrock.clock.now(), status=200, tokens_in=tokens_in, tokens_out=tokens_out, images=images,
                usd=usd + images * USD_PER_IMAGE, delivered=delivered, began=began, **facts,
            )
        )  # fmt: skip
        if delivered:
            self._send(200, reply, facts["request_id"])
        else:
            self._cut()

    def _write(self, request: dict[str, Any], content: str, most: int) -> tuple[list[dict[str, Any]], str, int]:
        faults = self.bedrock.faults
        full = model.answer(_prompt(request), self.bedrock.manner)
        fault, share = faults.reply(content), faults.share("damage", content)
        if (short := model.cut_to(full, most)) is not None and fault is None:
            blocks, stop = [{"toolUse": {"toolUseId": "t", "name": "record_excerpts", "input": short}}], "max_tokens"
        else:
            blocks, stop = model.damaged(full, fault, share)
        if faults.empty:
            blocks, stop = [], "end_turn"
        for block in blocks if faults.as_string else ():
            block["toolUse"]["input"] |= {"excerpts": json.dumps(block["toolUse"]["input"]["excerpts"])}
        written = json.dumps([block.get("text") or block["toolUse"]["input"] for block in blocks], ensure_ascii=False)
        tokens = most if stop == "max_tokens" else min(most, model.num_tokens(written))
        return blocks, stop, tokens

    def _paint(self, request: dict[str, Any], content: str) -> dict[str, Any]:
        fault, seed = self.bedrock.faults.picture(content), int(request.get("seed", 0))
        reasons = {
            "filtered_prompt": "Filter reason: prompt",
            "filtered_image": "Filter reason: output image",
            "inference_error": "Inference error",
        }
        if fault in reasons:
            return {"seeds": [seed], "finish_reasons": [reasons[fault]]}
        png = model.picture(request["prompt"], seed, request.get("aspect_ratio", "1:1"), flat=fault == "flat_image")
        return {"seeds": [seed], "finish_reasons": [None], "images": [png]}

    def _unauthorised(self) -> str | None:
        given = self.headers.get("Authorization", "")
        shown = given.partition(",")[0], self.headers.get("X-Amz-Security-Token", "")
        with self.bedrock.lock:
            self.bedrock.authorizations.add(shown)
        if self.bedrock.token is not None:
            return None if given == f"Bearer {self.bedrock.token}" else "denied"
        return None if given.startswith(("Bearer ", "AWS4-HMAC-SHA256")) else "denied"

    def _caller_is_gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        if isinstance(self.connection, ssl.SSLSocket):  # which cannot be looked into
            return bool(readable)
        try:
            return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def _page(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def _error(self, fault: str, facts: dict[str, str]) -> None:
        status, code, message = ERRORS[fault]
        self.bedrock.bill.add(Charge(at=self.bedrock.clock.now(), status=status, error=code, **facts))
        headers = {"x-amzn-ErrorType": code}
        if status in (429, 503):
            headers["Retry-After"] = "1"
        self._send(status, {"message": message}, facts["request_id"], headers)

    def _send(self, status: int, body: dict[str, Any], request_id: str, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        try:
            self.send_response(status)
            for key, value in {
                "Content-Type": "application/json",
                "x-amzn-RequestId": request_id,
                **(headers or {}),
            }.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def _cut(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _prompt(request: dict[str, Any]) -> str:
    """All that the model reads."""
    texts = [block["text"] for block in request.get("system", ()) if "text" in block]
    for message in request.get("messages", ()):
        content = message["content"]
        texts += [content] if isinstance(content, str) else [block["text"] for block in content if "text" in block]
    return "\n".join(texts)


def _most_tokens(request: dict[str, Any]) -> int:
    """What the quota reserves for the reply: all that the model could write, where the caller sets no bound."""
    return int(request.get("inferenceConfig", {}).get("maxTokens") or request.get("max_tokens") or 64_000)


def _converse_reply(blocks: list[dict[str, Any]], stop: str, tokens_in: int, tokens_out: int) -> dict[str, Any]:
    usage = {"inputTokens": tokens_in, "outputTokens": tokens_out, "totalTokens": tokens_in + tokens_out}
    message = {"role": "assistant", "content": blocks}
    return {"output": {"message": message}, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 1}}


def _invoke_reply(blocks: list[dict[str, Any]], stop: str, tokens_in: int, tokens_out: int) -> dict[str, Any]:
    """In the model's own format, which knows no tool here: the JSON comes as text."""
    texts = [block.get("text") or json.dumps(block["toolUse"]["input"], ensure_ascii=False) for block in blocks]
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "\n".join(texts)}],
        "stop_reason": "end_turn" if stop == "tool_use" else stop,
        "usage": {"input_tokens": tokens_in, "output_tokens": tokens_out},
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that is killed resets its connection: no news."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    request_queue_size = 256


@contextmanager
def run_bedrock(bedrock: Bedrock | None = None, tls: Path | None = None) -> Iterator[Bedrock]:
    """The stand-in, on a port of its own until the end of the block; with a folder for certificates, on TLS."""
    bedrock = bedrock or Bedrock()
    handler = type("Handler", (_Handler,), {"bedrock": bedrock})
    server = _Server(("127.0.0.1", 0), handler)
    bedrock.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    if tls is not None:
        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(str(tls / "ca.pem"))
        bedrock.certificates = str(tls / "ca.pem")
        bedrock.endpoint = bedrock.endpoint.replace("http:", "https:")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield bedrock
    finally:
        server.shutdown()
        server.server_close()
        thread.join(SECONDS)
