"""Gathers what `plan.money.allowance` decides from, and keeps its books."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from fabula_api.entries import instance
from fabula_api.outside import whole
from fabula_api.recipes import API_KINDS
from fabula_api.worker import Allowance, StageReport
from fabula_operator.handlers.reports import Reports
from fabula_operator.kube.cache import Cache
from fabula_operator.plan.acceptance.refusal import Refusal
from fabula_operator.plan.acceptance.spec import parsed
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.money.allowance import (
    Asked,
    Books,
    Buyer,
    Market,
    PodReport,
    ShardPod,
    allow,
    child_of,
    claimed,
)
from fabula_operator.plan.money.quota import stage_of
from fabula_operator.plan.money.quota_groups import QuotaGroup
from fabula_operator.plan.seen.api_objects import INDEX_ANNOTATION, controller_uid
from fabula_operator.plan.seen.observed import read_status
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
    """What the shard of a run that sent `report`, already among `reports`, may do. `pod` is the one that sent it;
    `groups` are the quotas that namespaces share."""
    if (buyer := _buyer(reports, obj)) is None:
        return Allowance()
    market = Market(
        lambda: _at_work(cache, reports), lambda uid: _pods(cache, uid), groups, reports.answering_since(now)
    )
    asked = Asked(report, pod, now)
    if (claim := claimed(buyer, asked, market)) is None:
        return Allowance()
    child = child_of(buyer, asked, market)
    books = Books(reports.lent(claim.pool), reports.granted(buyer.uid, stage_of(report), child))
    allowance, books = allow(buyer, asked, claim, market, books)
    reports.keep_lent(claim.pool, books.lent)
    reports.keep_granted(buyer.uid, stage_of(report), child, books.granted)
    return allowance


def _buyer(reports: Reports, obj: Mapping[str, Any]) -> Buyer | None:
    """The run as one that pays; None where its spec does not parse."""
    spec = parsed(obj.get("spec") or {}, obj["kind"])
    if isinstance(spec, Refusal):
        return None
    uid, status = str(obj["metadata"]["uid"]), read_status(obj["kind"], obj.get("status"))
    running = status.state == "Running" and not spec.suspend
    return Buyer(
        uid,
        str(obj["metadata"]["namespace"]),
        spec,
        reports=[PodReport(report.body, report.pod) for report in reports.of(uid)],
        bills=KINDS[obj["kind"]].bills(status),
        at_work=tuple(stage.name for stage in status.stages if running and stage.state == "Running"),
    )


def _at_work(cache: Cache, reports: Reports) -> Iterable[Buyer]:
    for obj in (run for kind in API_KINDS for run in cache.runs(kind, "Running")):
        if (buyer := _buyer(reports, obj)) is not None and buyer.at_work:
            yield buyer


def _pods(cache: Cache, uid: str) -> dict[str, ShardPod]:
    return {pod["metadata"]["name"]: _pod(pod) for pod in cache.pods(uid)}


def _pod(obj: Mapping[str, Any]) -> ShardPod:
    meta = obj["metadata"]
    labels = meta.get("labels") or {}
    index = (meta.get("annotations") or {}).get(INDEX_ANNOTATION)
    return ShardPod(
        child=controller_uid(meta),
        stage=instance(labels.get(STAGE, ""), labels.get(ARM)),
        index=None if index is None else whole(index),
        phase=(obj.get("status") or {}).get("phase") or "Pending",
        created_at=parse_time(meta.get("creationTimestamp")),
    )
