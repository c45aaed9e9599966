"""The answer to each report of a build: what its shard may spend next, from all builds' specs and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.worker import Allowance, StageReport
from fabula_operator.handlers.reports import Reports
from fabula_operator.kube.cache import Cache
from fabula_operator.plan.quota import EXTRACT, Claim, claim_of, ended, enough, grant, paid_for, share, stage_budget


def answer(cache: Cache, reports: Reports, obj: Mapping[str, Any], report: StageReport) -> Allowance:
    """What the shard of a build that sent `report`, already among `reports`, may do."""
    uid = str(obj["metadata"]["uid"])
    if (spec := _spec(obj)) is None:
        return Allowance()
    own = [one.body for one in reports.of(uid)]
    reached = report.stage == EXTRACT and enough(spec, own)
    claim = claim_of(uid, spec, report.stage, own)
    if claim is None:
        return Allowance(target_reached=reached)
    part = share(claim, _claims(cache, reports, claim) if claim.quota.group else [claim])
    return Allowance(
        requests_per_minute=part.requests,
        tokens_per_minute=part.tokens,
        budget_usd=_dollars(reports, obj, spec, report, own),
        target_reached=reached,
    )


def _claims(cache: Cache, reports: Reports, wanted: Claim) -> list[Claim]:
    """All claims on the pool of `wanted`: of builds whose stage is at work."""
    found = []
    for obj in cache.runs():
        if obj["kind"] != "DatasetBuild" or not _at_work(obj, wanted.stage) or (spec := _spec(obj)) is None:
            continue
        uid = str(obj["metadata"]["uid"])
        claim = claim_of(uid, spec, wanted.stage, [one.body for one in reports.of(uid)])
        if claim is not None and claim.pool == wanted.pool:
            found.append(claim)
    # The status may not say yet that this stage has started.
    return found if any(one.run == wanted.run for one in found) else [*found, wanted]


def _dollars(
    reports: Reports, obj: Mapping[str, Any], spec: DatasetBuildSpec, report: StageReport, own: list[StageReport]
) -> float | None:
    total = stage_budget(spec, report.stage, paid_for(obj.get("status") or {}, EXTRACT))
    if total is None:
        return None
    stage = {one.shard: one for one in own if one.stage == report.stage}
    spent = {
        shard: one.counts.get("cost/usd", 0.0) + one.counts.get("cost/lostUsd", 0.0) for shard, one in stage.items()
    }
    over = {shard for shard, one in stage.items() if ended(one)}
    granted = reports.granted(str(obj["metadata"]["uid"]), report.stage)
    shards = spec.extraction.workers if report.stage == EXTRACT else spec.images.workers
    granted[report.shard] = grant(total, spent, granted, over, report.shard, shards)
    return granted[report.shard]


def _spec(obj: Mapping[str, Any]) -> DatasetBuildSpec | None:
    try:
        return DatasetBuildSpec.model_validate(obj.get("spec") or {})
    except ValidationError:
        return None


def _at_work(obj: Mapping[str, Any], stage: str) -> bool:
    status = obj.get("status") or {}
    running = [one["name"] for one in status.get("stages") or () if one.get("state") == "Running"]
    return status.get("state") == "Running" and stage in running and not (obj.get("spec") or {}).get("suspend")
