"""Chat completions of a server that speaks OpenAI's format. It retries nothing: that is the `Caller`'s work."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fabula_api.provider import longest_reply_seconds
from fabula_workloads.bedrock.errors import Rejected, Transient
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, WorkerError
from fabula_workloads.runtime.http_settings import is_address, trim_surroundings, way, wrong_setting

_LONGEST_RETRY_AFTER = 120.0
_SAID = 2_000


class OpenAIClient:
    """One call. Raises Transient, Rejected, or the failure that every call would meet. Safe for many threads."""

    def __init__(self, endpoint_url: str, *, key: str | None, key_variable: str, max_tokens: int, field: str) -> None:
        """`field` is the part of the spec that names model and endpoint. `key` None sends none."""
        if "@" in endpoint_url.partition("?")[0]:
            raise ConfigInvalid(f"{field}.endpointUrl holds a password; a key comes by keyVariable")
        if not is_address(endpoint_url):
            raise ConfigInvalid(f"{field}.endpointUrl: {endpoint_url!r} is no address; write it as https://host/v1")
        if key is not None and (not key.isascii() or key != key.strip() or not key.isprintable()):
            raise CredentialsRefused(f"the key in {key_variable} has a line break or blank within; correct the Secret")
        trim_surroundings()
        self._url, self.host = f"{endpoint_url.rstrip('/')}/chat/completions", urlsplit(endpoint_url).netloc
        self._key, self._variable, self._field = key, key_variable, field
        self._max_tokens, self._seconds = max_tokens, longest_reply_seconds(max_tokens)
        self._limit_name = "max_tokens"

    def complete(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """(reply, request id). The limit of tokens is added under the name that the server takes."""
        while True:
            name = self._limit_name
            try:
                return self._post({**request, name: self._max_tokens})
            except Rejected as rejected:
                # Newer models of OpenAI's own take the limit by another name only; a refusal costs nothing.
                if name == "max_completion_tokens" or "max_completion_tokens" not in rejected.said:
                    raise
                self._limit_name = "max_completion_tokens"

    def _post(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)  # noqa: S310 - http(s), as above
        try:
            with urllib.request.urlopen(request, timeout=self._seconds) as reply:  # noqa: S310
                content, identity = reply.read(), str(reply.headers.get("x-request-id") or "")
        except urllib.error.HTTPError as error:
            raise self._answered(error) from error
        except urllib.error.URLError as error:
            raise self._unreached(error.reason) from error
        except (OSError, http.client.HTTPException) as error:
            kind = type(error).__name__
            raise Transient(
                "ProviderUnavailable", f"the connection to {self.host} ended ({kind})", lost=True
            ) from error
        try:
            document = json.loads(content)
            text = document["choices"][0]["message"]
            assert isinstance(text, dict)
        except (ValueError, RecursionError, LookupError, TypeError, AssertionError):
            what = (
                f"the answer from {self.host} is no chat completion: does a proxy or a login page answer in its place?"
            )
            raise Transient("ProviderUnavailable", what, lost=True) from None
        return document, identity or str(document.get("id", ""))

    def _answered(self, error: urllib.error.HTTPError) -> Transient | Rejected | WorkerError:
        try:
            said = error.read(_SAID).decode(errors="replace")
        except OSError:
            said = ""
        status = error.code
        if status == 429 and "insufficient_quota" not in said:
            wait = _seconds(error.headers.get("retry-after"))
            return Transient("ProviderThrottled", f"{self.host} turns calls away ({status})", wait)
        if status == 429:
            return CredentialsRefused(f"the account behind {self._variable} has no credit left at {self.host}")
        if status in (401, 403):
            told = "takes the key in" if self._key else "wants a key, and there is none in"
            return CredentialsRefused(
                f"{self.host} {'does not ' if self._key else ''}{told.replace('takes', 'take')} {self._variable} "
                f"({status}): bring the right one by the Secret of spec.secretRef"
            )
        if status == 404:
            return ConfigInvalid(
                f"{self._field}: {self._url} knows no such model or address ({status}); "
                "endpointUrl is what comes before /chat/completions, such as https://host/v1"
            )
        if status in (400, 413, 422):
            return Rejected(str(status), said=said)
        return Transient(
            "ProviderUnavailable", f"{self.host} answers {status}", _seconds(error.headers.get("retry-after"))
        )

    def _unreached(self, reason: object) -> Transient | WorkerError:
        if isinstance(reason, OSError) and (wrong := wrong_setting(reason, self.host, f"{self._field}.endpointUrl")):
            return wrong
        kind = type(reason).__name__
        lost = isinstance(reason, TimeoutError) and not isinstance(reason, ConnectionRefusedError)
        unsent = isinstance(reason, socket.gaierror | ConnectionRefusedError)
        return Transient(
            "ProviderUnavailable", f"{self.host} cannot be reached ({kind}{way()})", lost=lost and not unsent
        )


def _seconds(header: str | None) -> float:
    try:
        return min(_LONGEST_RETRY_AFTER, max(0.0, float(header or 0)))
    except ValueError:
        return 0.0
