"""Who is it that reports? The API server checks the token; this checks that it is a pod of the very run."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import TOKEN_REVIEW, Obj

POD_NAME = "authentication.kubernetes.io/pod-name"
CACHED_SECONDS = 60.0
CACHED_TOKENS = 20_000


class Unauthenticated(Exception):
    """The token is not valid for this run."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated ServiceAccount."""

    namespace: str
    pod: str | None
    """Name of the pod that the token is bound to."""


class TokenReviewer:
    """Asks the API server about tokens and remembers its answers for a minute."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[bytes, tuple[float, Caller | None]] = {}

    async def caller(self, token: str, audience: str) -> Caller:
        """Whose token it is. Raises Unauthenticated; ApiError when the API server does not answer."""
        mark = hashlib.sha256(f"{audience}\n{token}".encode()).digest()
        now = time.monotonic()
        known = self._known.get(mark)
        if known is None or known[0] < now:
            known = (now + CACHED_SECONDS, await self._ask(token, audience))
            if len(self._known) >= CACHED_TOKENS:
                self._known = {key: entry for key, entry in self._known.items() if entry[0] >= now}
            self._known[mark] = known
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
