"""The answer to each report of a build: what its shard may spend next, from all builds' specs and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Any

from fabula_api.entries import instance
from fabula_api.recipes import API_KINDS
from fabula_api.specs import Spec
from fabula_api.worker import Allowance, QuotaLease, StageReport
from fabula_operator.handlers.reports import Reports
from fabula_operator.kube.cache import Cache
from fabula_operator.plan.acceptance.accept import Refusal, parsed
from fabula_operator.plan.money.lending import ENDS_SECONDS, Holding, Shard, believed, lend
from fabula_operator.plan.money.paid import payers
from fabula_operator.plan.money.quota import (
    Claim,
    Pool,
    claim_of,
    ended,
    grant,
    pool_of,
    stage_budget,
    stage_of,
    weight,
)
from fabula_operator.plan.money.quota_groups import QuotaGroup
from fabula_operator.plan.seen.api_objects import INDEX_ANNOTATION, controller_uid
from fabula_operator.plan.times import parse_time
from fabula_operator.render.names import ARM, STAGE


def answer(
    cache: Cache,
    reports: Reports,
    obj: Mapping[str, Any],
    report: StageReport,
    now: datetime,
    pod: str | None = None,
    groups: Sequence[QuotaGroup] = (),
) -> Allowance:
    """What the shard of a build that sent `report`, already among `reports`, may do. `pod` is the one that sent it;
    `groups` are the quotas that namespaces share."""
    uid = str(obj["metadata"]["uid"])
    if (spec := _spec(obj)) is None:
        return Allowance()
    stage = stage_of(report)
    known, child = reports.of(uid), _child_of(cache, uid, pod)
    # A raised budget makes a new child. Who ended before that, for want of dollars, is at work again.
    present = [one.body for one in known if child is None or _child_of(cache, uid, one.pod) == child]
    claim = claim_of(uid, spec, stage, present, str(obj["metadata"]["namespace"]), groups)
    if claim is None:
        return Allowance()
    pool, lease = _lease(cache, reports, claim, report, now, pod, groups)
    return Allowance(
        requests_per_minute=None if pool.requests is None else pool.requests * lease.share,
        tokens_per_minute=None if pool.tokens is None else pool.tokens * lease.share,
        lease=lease,
        budget_usd=_dollars(
            spec,
            report,
            total=stage_budget(spec, stage, obj.get("status") or {}),
            known=[one.body for one in known],
            present=present,
            granted=reports.granted(uid, stage, child),
        ),
    )


def _child_of(cache: Cache, uid: str, name: str | None) -> str | None:
    """Uid of the child that made the pod; None where the pod is not known."""
    pod = None if name is None else cache.pod(uid, name)
    return None if pod is None else controller_uid(pod["metadata"])


def _lease(
    cache: Cache,
    reports: Reports,
    claim: Claim,
    report: StageReport,
    now: datetime,
    pod: str | None,
    groups: Sequence[QuotaGroup],
) -> tuple[Pool, QuotaLease]:
    """The quota that `claim` draws on, and what of it is lent to the shard."""
    claims = _claims(cache, reports, claim, groups) if claim.quota.group else [claim]
    pool, lent, shard = pool_of(claim, claims), reports.lent(claim.pool), (claim.run, claim.stage, report.shard)
    at_work = {(one.run, one.stage) for one in claims}
    for other, holding in list(lent.items()):
        forgotten = other[:2] not in at_work and not holding.is_live(now)
        if other != shard and (forgotten or _pod_is_over(cache, other[0], holding.pod)):
            del lent[other]
    others = [holding for other, holding in lent.items() if other != shard]
    size = weight(report, claim.concurrency)
    since = reports.answering_since(now)
    young = (now - since).total_seconds() <= ENDS_SECONDS
    unknown = young and any(_has_unheard(cache, *one, lent.keys() | {shard}, since) for one in at_work)
    held = believed(report.quota, lent.get(shard), young)
    lease, part = lend(held, size, others, pool.shards, unknown, now)
    if ended(report):
        lent.pop(shard, None)
    else:
        lent[shard] = Holding(part, now, size, pod)
    return pool, lease


def _pod_is_over(cache: Cache, uid: str, name: str | None) -> bool:
    """Whether the pod that reported makes no more calls, as far as that is known."""
    if name is None:
        return False
    pod = cache.pod(uid, name)
    return pod is None or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _stage_of_pod(labels: Mapping[str, str]) -> str:
    return instance(labels.get(STAGE, ""), labels.get(ARM))


def _has_unheard(cache: Cache, uid: str, stage: str, heard: Set[Shard], since: datetime) -> bool:
    """Whether a stage has running pods, older than this operator's answers, that have not reported to it."""
    for pod in cache.pods(uid):
        meta = pod["metadata"]
        index = (meta.get("annotations") or {}).get(INDEX_ANNOTATION)
        running = (pod.get("status") or {}).get("phase") == "Running"
        if not running or index is None or _stage_of_pod(meta.get("labels") or {}) != stage:
            continue
        created = parse_time(meta.get("creationTimestamp"))
        if (created is None or created < since) and (uid, stage, int(index)) not in heard:
            return True
    return False


def _claims(cache: Cache, reports: Reports, wanted: Claim, groups: Sequence[QuotaGroup]) -> list[Claim]:
    """All claims on the pool of `wanted`: of all runs' stages at work, whatever their kind."""
    found = []
    for obj in (one for kind in API_KINDS for one in cache.runs(kind, "Running")):
        if not (at_work := _at_work(obj)) or (spec := _spec(obj)) is None:
            continue
        uid = str(obj["metadata"]["uid"])
        told = [one.body for one in reports.of(uid)]
        for stage in at_work:
            claim = claim_of(uid, spec, stage, told, str(obj["metadata"]["namespace"]), groups)
            if claim is not None and claim.pool == wanted.pool:
                found.append(claim)
    # The status may not say yet that this stage has started.
    known = any((one.run, one.stage) == (wanted.run, wanted.stage) for one in found)
    return found if known else [*found, wanted]


def _dollars(
    spec: Spec,
    report: StageReport,
    *,
    total: float | None,
    known: list[StageReport],
    present: list[StageReport],
    granted: dict[int, float],
) -> float | None:
    """Dollars that the shard may have spent in all; None without a bound. Writes into `granted`.

    What shards have spent counts whichever child they were of, for it was spent on the same folder; that they ended
    counts only of the present one.
    """
    if total is None:
        return None
    stage = stage_of(report)
    spent = {
        one.shard: one.counts.get("cost/usd", 0.0) + one.counts.get("cost/lostUsd", 0.0)
        for one in known
        if stage_of(one) == stage
    }
    over = {one.shard for one in present if stage_of(one) == stage and ended(one)}
    granted[report.shard] = grant(total, spent, granted, over, report.shard, payers(spec)[stage].shards)
    return granted[report.shard]


def _spec(obj: Mapping[str, Any]) -> Spec | None:
    found = parsed(obj.get("spec") or {}, obj["kind"])
    return None if isinstance(found, Refusal) else found


def _at_work(obj: Mapping[str, Any]) -> list[str]:
    """Names of a run's stages at work."""
    status = obj.get("status") or {}
    if status.get("state") != "Running" or (obj.get("spec") or {}).get("suspend"):
        return []
    return [one["name"] for one in status.get("stages") or () if one.get("state") == "Running"]
