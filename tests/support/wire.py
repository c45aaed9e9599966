"""A bare HTTP client for conformance tests: what goes over the wire, without a client library's opinion."""

import base64
import http.client
import json
import select
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml
from tests.support.patience import SECONDS

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@dataclass(frozen=True)
class Response:
    """An answered request."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Object:
        """The JSON body."""
        read: Object = json.loads(self.text)
        return read


class Wire:
    """Requests to the cluster of a kubeconfig. Each thread keeps one connection, for a handshake costs more than most
    requests."""

    def __init__(self, kubeconfig: Path, token: str | None = "") -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        context = next(item for item in config["contexts"] if item["name"] == config["current-context"])["context"]
        cluster = next(item for item in config["clusters"] if item["name"] == context["cluster"])["cluster"]
        user = next(item for item in config["users"] if item["name"] == context["user"])["user"]
        self._kubeconfig = kubeconfig
        self._where = urlsplit(cluster["server"])
        if path := cluster.get("certificate-authority"):
            self._tls = ssl.create_default_context(cafile=path)
        else:
            authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
            self._tls = ssl.create_default_context(cadata=authority)
        self._token = user.get("token", "") if token == "" else token
        self._kept = threading.local()
        if token == "" and "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile() as pem:
                for key in ("client-certificate-data", "client-key-data"):
                    pem.write(base64.b64decode(user[key]))
                pem.flush()
                self._tls.load_cert_chain(pem.name)

    def as_token(self, token: str | None) -> "Wire":
        """The same cluster, asked with another token, or none."""
        return Wire(self._kubeconfig, token)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        accept: str = "",
        **query: Any,
    ) -> Response:
        """One request; the body is sent as JSON."""
        connection = self._connection()
        try:
            self._send(connection, method, path, body, media, accept, query)
            response = connection.getresponse()
            return Response(response.status, dict(response.getheaders()), response.read().decode())
        except BaseException:
            connection.close()
            raise

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Object:
        """One request that must succeed; its body."""
        response = self.call(method, path, body, **options)
        assert response.status < 300, f"{method} {path}: {response.status} {response.text}"
        return response.body

    @contextmanager
    def watch(self, path: str, accept: str = "", **query: Any) -> Iterator[Iterator[Object]]:
        """A watch as an iterator of events; ends with the block."""
        query = {"watch": "true", "timeoutSeconds": int(SECONDS), **query}
        connection = self._connect()
        self._send(connection, "GET", path, None, "", accept, query)
        response = connection.getresponse()
        assert response.status == 200, response.read()

        def events() -> Iterator[Object]:
            while line := response.readline():
                yield json.loads(line)

        try:
            yield events()
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPSConnection:
        """This thread's connection, or a new one where the server has closed it."""
        kept: http.client.HTTPSConnection | None = getattr(self._kept, "connection", None)
        # Nothing is awaited on it: what can be read is its end.
        if kept is None or kept.sock is None or select.select([kept.sock], [], [], 0)[0]:
            if kept is not None:
                kept.close()
            kept = self._kept.connection = self._connect()
        return kept

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._where.hostname or "", self._where.port or 443, context=self._tls, timeout=SECONDS + 10
        )

    def _send(
        self, connection: http.client.HTTPSConnection, method: str, path: str, body: Any, media: str, accept: str,
        query: Object,
    ) -> None:  # fmt: skip
        headers = {"User-Agent": "conformance/1.0"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if accept:
            headers["Accept"] = accept
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["Content-Type"] = media
        target = f"{self._where.path.rstrip('/')}{path}" + (f"?{urlencode(query)}" if query else "")
        connection.request(method, target, content, headers)
