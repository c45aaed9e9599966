"""Where workers report: HTTPS, a token bound to the run, Kubeflow's progress protocol, and an allowance back."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from aiohttp import web
from pydantic import ValidationError

from fabula_api.base import GROUP
from fabula_api.outside import plain, read_outside, whole
from fabula_api.recipes import API_KINDS, Kind
from fabula_api.worker import Allowance, ProgressBody
from fabula_operator.handlers.allowances import answer
from fabula_operator.handlers.limits import Buckets
from fabula_operator.handlers.reports import Reports, foreign_report
from fabula_operator.kube.cache import Cache, Key, run_uid
from fabula_operator.kube.client import ApiError
from fabula_operator.kube.resources import Obj
from fabula_operator.kube.token_review import TokenReviewer, TooManyReviews, Unauthenticated
from fabula_operator.plan.groups.group import group_of, has_groups
from fabula_operator.plan.lifecycle.standing import standing
from fabula_operator.plan.money.quota_groups import QuotaGroup
from fabula_operator.plan.seen.api_objects import Pod, controller_uid
from fabula_operator.plan.seen.observed import Run
from fabula_operator.render.launch import RunIdentity
from fabula_operator.render.names import ARM, ATTEMPT, STAGE

logger = logging.getLogger(__name__)
BODY_LIMIT = 64 * 1024
REPORTS_PER_SECOND, REPORTS_AT_ONCE = 8.0, 40.0
"""Of one pod. A worker that waits for its part of a quota reports four times a second."""
REVIEWS_PER_SECOND, REVIEWS_AT_ONCE = 50.0, 1200.0
"""TokenReviews for the pods of one namespace: a child has at most 1024, and each token is reviewed once a minute."""
NOT_YOURS = "there is no such run, or the token is none of its pods'"
"""One answer for both, so that nobody learns which runs other namespaces have."""
KINDS: dict[str, Kind] = {definition.plural: kind for kind, definition in API_KINDS.items()}
OBJECT_PATH = "/v1alpha1/namespaces/{namespace}/{plural}/{name}/status"


@dataclass(frozen=True, slots=True)
class StatusServer:
    """Takes reports and answers with what the run may do next."""

    cache: Cache
    reports: Reports
    reviewer: TokenReviewer
    changed: Callable[[Key], object]
    """Told of a run with a new report."""
    now: Callable[[], datetime]
    pod_of: Callable[[str, str], Awaitable[Obj | None]]
    """Reads a pod, by namespace and name, that the cache has not heard of yet."""
    complete: Callable[[], bool]
    """Whether all runs, children and pods are known. Before that this server only asks to be asked again."""
    groups: Sequence[QuotaGroup] = ()
    """Quotas that namespaces share."""
    pods: Buckets = field(default_factory=lambda: Buckets(REPORTS_PER_SECOND, REPORTS_AT_ONCE))

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
        if not self.complete():
            # Whose pod it is, and what one build may spend, follows from all that there is.
            return _refusal(503, "the operator has just started and does not know all runs yet; try again")
        obj = self.cache.get(key)
        uid = self.cache.deletions.of(key) if obj is None else str(obj["metadata"]["uid"])
        if uid is None:
            return _refusal(403, NOT_YOURS)
        identity = RunIdentity(kind, key.namespace, key.name, uid)
        try:
            caller = await self.reviewer.caller(token, key.namespace, identity.audience)
        except Unauthenticated:
            return _refusal(403, NOT_YOURS)
        except TooManyReviews as error:
            return _refusal(429, f"{error}; try again")
        except ApiError as error:
            logger.warning("a token could not be reviewed: %s", error)
            return _refusal(503, "tokens cannot be reviewed at the moment; try again")
        if caller.namespace != key.namespace:
            return _refusal(403, NOT_YOURS)
        if caller.pod is None:
            return _refusal(403, "the token is bound to no pod; use the one that is projected into the pod")
        if not self.pods.take((uid, caller.pod)):
            return _refusal(429, f"pod {caller.pod} reports too often; at most {REPORTS_PER_SECOND:.0f} times a second")
        if obj is None:
            return _reply(Allowance(stop=True))
        pod = await self._pod(identity, caller.pod)
        if pod is None:
            return _refusal(403, f"pod {caller.pod} does not belong to {kind} {key.name}")
        try:
            body = ProgressBody.model_validate(read_outside(await request.read()))
            place = Place.of(pod)
        except ValidationError as error:
            return _refusal(400, "; ".join(f"{_path(flaw['loc'])}: {flaw['msg']}" for flaw in error.errors()[:5]))
        except ValueError as error:
            return _refusal(400, f"the report cannot be read: {plain(str(error))[:200]}")
        if request.transport is None or request.transport.is_closing():
            # It gave up waiting and may have sent newer figures meanwhile; what it is not told it does not hold.
            return _refusal(499, "the caller is gone")
        return _reply(self._take(key, obj, body, caller.pod, place))

    def _take(self, key: Key, obj: Obj, body: ProgressBody, pod_name: str, place: Place) -> Allowance:
        run, group = Run.from_object(obj), group_of(obj)
        if body.fabula is None and not has_groups(key.kind):
            return Allowance()
        uid, trained = run.identity.uid, group or place.stage
        report = body.fabula or foreign_report(
            body, trained, place.attempt, self.reports.last(uid, trained, place.attempt)
        )
        if report is None:
            return Allowance(stop=standing(run, group, trained, place.attempt).stop)
        report = report.replace(**asdict(place))
        stands = standing(run, group, report.stage, report.attempt)
        if stands.heard:
            now = self.now()
            self.reports.put(uid, report, pod_name, now, trains=report.stage == group)
            self.changed(key)
            if not stands.stop:
                return answer(self.cache, self.reports, obj, report, now, pod_name, self.groups)
        return Allowance(stop=stands.stop)

    async def _pod(self, run: RunIdentity, name: str) -> Obj | None:
        """The pod, if it is one of the run's."""
        pod = self.cache.pod(run.uid, name)
        if pod is None:
            pod = await self.pod_of(run.namespace, name)
            if pod is None or run_uid(pod) != run.uid:
                return None
            for key in self.cache.put(pod):
                self.changed(key)
        owner = controller_uid(pod["metadata"])
        children = self.cache.child_uids(run.uid)
        return pod if owner in children else None


@dataclass(frozen=True, slots=True)
class Place:
    """Whose figures a pod may tell: what it was given, whatever it says of itself."""

    stage: str
    arm: str | None
    shard: int
    attempt: int

    @classmethod
    def of(cls, pod: Obj) -> Place:
        """The place in a pod's labels. Raises ValueError where they are none that a child's pod has."""
        labels = pod["metadata"].get("labels") or {}
        attempt = whole(labels.get(ATTEMPT, "1"))
        if not labels.get(STAGE) or not attempt:
            raise ValueError("the pod's labels name no stage and attempt")
        return cls(str(labels[STAGE]), labels.get(ARM), Pod.from_object(pod).index, attempt)


def _bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "body"


def _reply(allowance: Allowance) -> web.Response:
    return web.json_response(allowance.to_wire())


def _refusal(code: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=code)
