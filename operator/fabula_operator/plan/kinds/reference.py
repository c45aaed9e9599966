"""What a run sees of another one that it names: read from that one's object as its kind understands it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fabula_api.recipes import Kind
from fabula_api.specs import DEFAULT
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.seen.observed import Reference, read_status


def reference_to(kind: Kind, name: str, obj: Mapping[str, Any] | None) -> Reference:
    """The run of that object; `None` where there is none."""
    if obj is None:
        return Reference(kind, name, exists=False)
    status, spec = read_status(kind, obj.get("status")), obj.get("spec") or {}
    definition = KINDS[kind]
    artifact, (samples, train_samples) = definition.artifact(status), definition.samples(status)
    return Reference(
        kind,
        name,
        state=status.state,
        uri=artifact.uri if artifact else None,
        digest=artifact.digest if artifact else None,
        reason=status.reason,
        samples=samples,
        train_samples=train_samples,
        recipe=spec.get("recipe", DEFAULT),
        dry_run=spec.get("dryRun") is True,
        spec=spec,
        begun=status.started_at is not None,
    )
