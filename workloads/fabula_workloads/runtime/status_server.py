"""The way to the operator's status server."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from http.client import HTTPResponse
from pathlib import Path
from typing import cast

TRIES = 40
"""Of several operators only the one that leads listens, and each connection may meet another: of five, as many as the
chart allows, one request in 7,500 is refused so often. A refusal takes no longer than the way there and back."""


def answer(request: urllib.request.Request, authority: Path | None, timeout_seconds: float) -> HTTPResponse:
    """The answer of the operator that listens. Raises OSError; an answer that is none of 2xx is an HTTPError."""
    # Never by way of a proxy: the server is in the cluster.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if request.type == "https":
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority)))
    opener = urllib.request.build_opener(*handlers)
    tries = 1
    while True:
        try:
            return cast(HTTPResponse, opener.open(request, timeout=timeout_seconds))
        except urllib.error.URLError as error:
            # Nobody has heard of what is refused, so nothing is said twice.
            if tries == TRIES or not isinstance(error.reason, ConnectionRefusedError):
                raise
        tries += 1
