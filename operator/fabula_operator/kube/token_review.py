"""Who is it that reports? The API server checks the token; this checks that it is a pod of the very run.

Anybody on the network may ask, so a token that does not even claim to be for the run costs no TokenReview, and those
that do are reviewed so often a second for each namespace and no more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fabula_api.outside import read_json
from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import TOKEN_REVIEW, Obj

POD_NAME = "authentication.kubernetes.io/pod-name"
CACHED_SECONDS = 60.0
CACHED_TOKENS = 20_000


class Unauthenticated(Exception):
    """The token is not valid for this run."""


class TooManyReviews(Exception):
    """So many unknown tokens came at once that this one is not reviewed now."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated ServiceAccount."""

    namespace: str
    pod: str | None
    """Name of the pod that the token is bound to."""


class TokenReviewer:
    """Asks the API server about tokens and remembers its answers for a minute, those asked for last."""

    def __init__(self, api: Api, allowed: Callable[[str], bool] = lambda namespace: True) -> None:
        """`allowed` is asked, with the namespace that a token claims, before each TokenReview."""
        self._api = api
        self._allowed = allowed
        self._known: OrderedDict[bytes, tuple[float, Caller | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    async def caller(self, token: str, namespace: str, audience: str) -> Caller:
        """Whose token it is. Raises Unauthenticated, TooManyReviews; ApiError when the API server does not answer."""
        if not _claims(token, namespace, audience):
            raise Unauthenticated("the token is not valid for this run")
        mark = hashlib.sha256(f"{audience}\n{token}".encode()).digest()
        now = time.monotonic()
        known = self._known.pop(mark, None)
        if known is None or known[0] < now:
            if not self._allowed(namespace):
                raise TooManyReviews(f"too many new tokens of namespace {namespace} at once")
            known = (now + CACHED_SECONDS, await self._ask(token, audience))
        self._known[mark] = known
        while len(self._known) > CACHED_TOKENS:
            self._known.popitem(last=False)
        if known[1] is None:
            raise Unauthenticated("the token is not valid for this run")
        return known[1]

    async def _ask(self, token: str, audience: str) -> Caller | None:
        review: Obj = {
            "apiVersion": TOKEN_REVIEW.api_version,
            "kind": TOKEN_REVIEW.kind,
            "spec": {"token": token, "audiences": [audience]},
        }
        status = (await self._api.review(TOKEN_REVIEW, review)).get("status") or {}
        # An API server that knows no audiences leaves them out; such an answer says nothing about this run.
        if not status.get("authenticated") or audience not in (status.get("audiences") or ()):
            return None
        user = status.get("user") or {}
        prefix, _, rest = str(user.get("username", "")).partition("system:serviceaccount:")
        if prefix or ":" not in rest:
            return None
        pods = (user.get("extra") or {}).get(POD_NAME) or ()
        return Caller(rest.partition(":")[0], str(pods[0]) if pods else None)


def _claims(token: str, namespace: str, audience: str) -> bool:
    """Whether the token says of itself that it is for the run. Nobody has checked its signature yet: a "yes" is worth a
    TokenReview and nothing else. Tokens that Kubernetes projects are JWTs (RFC 7519)."""
    parts = token.split(".")
    if len(parts) != 3:
        return False
    try:
        payload: Any = read_json(base64.urlsafe_b64decode(parts[1] + "=="), depth=8)
    except (ValueError, binascii.Error):
        return False
    if not isinstance(payload, dict) or not isinstance(payload.get("kubernetes.io"), dict):
        return False
    audiences = payload.get("aud")
    named = audiences if isinstance(audiences, list) else [audiences]
    return audience in named and payload["kubernetes.io"].get("namespace") == namespace
