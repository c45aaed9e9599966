"""Where workers report: HTTPS, a token bound to the run, Kubeflow's progress protocol, and an allowance back."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web
from pydantic import ValidationError

from fabula_api.base import GROUP
from fabula_api.recipes import Kind
from fabula_api.worker import Allowance, ProgressBody
from fabula_operator.handlers.allowances import answer
from fabula_operator.handlers.reports import Reports, foreign_report
from fabula_operator.kube.cache import Cache, Key, run_uid
from fabula_operator.kube.client import ApiError
from fabula_operator.kube.resources import Obj
from fabula_operator.kube.token_review import TokenReviewer, Unauthenticated
from fabula_operator.plan.children import controller_uid
from fabula_operator.render.launch import PLURALS, RunIdentity
from fabula_operator.render.names import ATTEMPT

logger = logging.getLogger(__name__)
BODY_LIMIT = 64 * 1024
KINDS: dict[str, Kind] = {plural: kind for kind, plural in PLURALS.items()}
OBJECT_PATH = "/v1alpha1/namespaces/{namespace}/{plural}/{name}/status"


@dataclass(frozen=True, slots=True)
class StatusServer:
    """Takes reports and answers with what the run may do next."""

    cache: Cache
    reports: Reports
    reviewer: TokenReviewer
    changed: Callable[[Key], None]
    """Told of a run with a new report."""
    now: Callable[[], datetime]
    pod_of: Callable[[str, str], Awaitable[Obj | None]]
    """Reads a pod, by namespace and name, that the cache has not heard of yet."""

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_post(OBJECT_PATH, self.report)
        return app

    async def report(self, request: web.Request) -> web.Response:
        """POST of one report."""
        kind = KINDS.get(request.match_info["plural"])
        if kind is None:
            return _refusal(404, f"{GROUP} has no {request.match_info['plural']}")
        key = Key(kind, request.match_info["namespace"], request.match_info["name"])
        token = _bearer(request)
        if token is None:
            return _refusal(401, "send the projected token as Authorization: Bearer")
        obj = self.cache.get(key)
        if obj is None:
            # A deleted run's pods are told to stop; whose they are does not matter for that.
            return _reply(Allowance(stop=True))
        identity = RunIdentity(kind, key.namespace, key.name, obj["metadata"]["uid"])
        try:
            caller = await self.reviewer.caller(token, identity.audience)
        except Unauthenticated as error:
            return _refusal(401, str(error))
        except ApiError as error:
            logger.warning("a token could not be reviewed: %s", error)
            return _refusal(503, "tokens cannot be reviewed at the moment; try again")
        if caller.namespace != key.namespace:
            return _refusal(403, f"a ServiceAccount of namespace {caller.namespace} may not report in {key.namespace}")
        pod: Obj | None = None
        if caller.pod is not None:
            pod = await self._pod(identity, caller.pod)
            if pod is None:
                return _refusal(403, f"pod {caller.pod} does not belong to {kind} {key.name}")
        try:
            body = ProgressBody.model_validate_json(await request.read())
        except ValidationError as error:
            return _refusal(400, "; ".join(f"{_path(one['loc'])}: {one['msg']}" for one in error.errors()[:5]))
        if request.transport is None or request.transport.is_closing():
            # It gave up waiting and may have sent newer figures meanwhile; what it is not told it does not hold.
            return _refusal(499, "the caller is gone")
        return _reply(self._take(key, obj, body, caller.pod, pod))

    def _take(self, key: Key, obj: Obj, body: ProgressBody, pod_name: str | None, pod: Obj | None) -> Allowance:
        labels = (pod["metadata"].get("labels") or {}) if pod else {}
        # What the pod says of its attempt is checked against what it was given.
        given = int(labels[ATTEMPT]) if ATTEMPT in labels else None
        if body.fabula is None and key.kind != "FineTuneRun":
            return Allowance()
        uid, attempt = obj["metadata"]["uid"], given or _last_attempt(obj)
        report = body.fabula or foreign_report(body, attempt, self.reports.last(uid, "train", attempt))
        if report is None:
            return Allowance(stop=self._stop(obj, "train", attempt))
        if given is not None and report.attempt != given:
            report = report.model_copy(update={"attempt": given})
        stop = self._stop(obj, report.stage, report.attempt)
        if not stop or self._held(obj, report.stage, report.attempt):
            now = self.now()
            self.reports.put(uid, report, pod_name, now)
            self.changed(key)
            if key.kind == "DatasetBuild" and not stop:
                return answer(self.cache, self.reports, obj, report, now, pod_name)
        return Allowance(stop=stop)

    @staticmethod
    def _held(obj: Obj, stage: str, attempt: int) -> bool:
        """The run is suspended or the attempt overtaken, and its pods still tell what they saved before they ended."""
        state = (obj.get("status") or {}).get("state")
        overtaken = stage == "train" and attempt < _last_attempt(obj)
        suspended = bool((obj.get("spec") or {}).get("suspend"))
        return state not in ("Succeeded", "Failed") and (suspended or overtaken)

    @staticmethod
    def _stop(obj: Obj, stage: str, attempt: int) -> bool:
        """The run is over or held, or the attempt was overtaken."""
        if "deletionTimestamp" in obj["metadata"] or (obj.get("spec") or {}).get("suspend"):
            return True
        status = obj.get("status") or {}
        if status.get("state") in ("Succeeded", "Failed"):
            generation = obj["metadata"].get("generation")
            return bool(status.get("observedGeneration") == generation)
        return stage == "train" and attempt < _last_attempt(obj)

    async def _pod(self, run: RunIdentity, name: str) -> Obj | None:
        """The pod, if it is one of the run's."""
        pod = self.cache.pod(run.uid, name)
        if pod is None:
            pod = await self.pod_of(run.namespace, name)
            if pod is None or run_uid(pod) != run.uid:
                return None
            self.cache.put(pod)
        owner = controller_uid(pod["metadata"])
        children = self.cache.child_uids(run.uid)
        return pod if owner in children else None


def _last_attempt(obj: Obj) -> int:
    attempts = (obj.get("status") or {}).get("attempts") or ()
    return max((int(one.get("number", 1)) for one in attempts), default=1)


def _bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "body"


def _reply(allowance: Allowance) -> web.Response:
    return web.json_response(allowance.to_wire())


def _refusal(code: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=code)


def server_tls(certificate: str, key: str) -> ssl.SSLContext:
    """TLS for the status server, from PEM files."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
