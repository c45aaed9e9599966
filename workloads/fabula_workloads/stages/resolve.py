"""Stage `resolve`: what lies at the places that a run names, by digest, before anything is made of it.

The digests become part of the later stages' keys, and each reader holds what it finds to them. No library of models is
loaded for it, so it takes a second or two and as long as it takes to read what no manifest tells of.
"""

from __future__ import annotations

import logging

from fabula_api.externals import External, unresolved
from fabula_api.judges import HumanVerdicts
from fabula_api.shared_spec import ModelSource
from fabula_workloads.models.hub import hub_commit
from fabula_workloads.runtime.artifact import require_manifest
from fabula_workloads.runtime.content import content_digest
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.open_store import open_store

KINDS = {"DatasetBuild": ("dataset",), "FineTuneRun": ("adapter", "model")}
"""Kinds of artifacts by the kind of run that makes them."""
_log = logging.getLogger(__name__)


def run(context: StageContext) -> StageResult:
    """The digest of each input that the spec names by its place alone. Raises InputInvalid naming the field."""
    wanted = unresolved(context.config.spec)
    digests: dict[str, str] = {}
    known: dict[str, str] = {}
    for external in wanted:
        context.check_stop()
        same = external.source.model_dump_json()
        if same not in known:
            known[same] = _digest(context, external)
            _log.info("%s is %s", external.field, known[same])
        digests[external.name] = known[same]
        context.reporter.update(done=len(digests), total=len(wanted))
    return StageResult(counts={"input/ok": float(len(digests))}, digests=digests)


def _digest(context: StageContext, external: External) -> str:
    source = external.source
    if isinstance(source, ModelSource) and source.uri is None:
        return hub_commit(source, external.field)
    uri = context.resolve(source.uri or "")
    if not isinstance(source, ModelSource | HumanVerdicts):
        try:
            return _artifact(uri, *KINDS[external.made_by or "FineTuneRun"])
        except InputInvalid as error:
            raise InputInvalid(f"{external.field}.uri: {error.message}") from error
    try:
        return content_digest(uri, context.cache, context.check_stop)
    except NotFound as error:
        what = "model folder" if isinstance(source, ModelSource) else "folder with files"
        raise InputInvalid(f"{external.field}.uri: there is no {what} at {error.uri}") from error


def _artifact(uri: str, *kinds: str) -> str:
    manifest = require_manifest(open_store(uri))
    if manifest.kind not in kinds:
        raise InputInvalid(f"{uri} is an artifact of kind {manifest.kind}, not {' or '.join(kinds)}")
    return manifest.digest
