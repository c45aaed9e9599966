"""Stages that look at their source each time: what they make lies in a folder named by what they found there."""

from __future__ import annotations

from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.store import Store
from fabula_workloads.runtime.verified import committed


def made_before(context: StageContext, kind: str, digest: str) -> tuple[Store, StageResult | None]:
    """The folder of an artifact that is made of content with that digest, and the stage's result where it was made
    already. Raises InputInvalid for what this stage has not made as it is now."""
    store = context.store.child(digest.removeprefix("sha256:")[:16])
    manifest = committed(store, (kind,), context.config.key, context.cache, context.check_stop)
    return store, None if manifest is None else StageResult.reuse(manifest, store.uri)
