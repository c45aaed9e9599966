"""Leases. Rules: k8s.io/kubernetes/pkg/apis/coordination/validation ValidateLeaseSpec."""

from collections.abc import Iterator, Mapping
from typing import Any

from fabula_local.apiserver.strategies.rules.numbers import nonnegative
from fabula_local.schema.errors import FieldError, forbidden, invalid


def lease_rules(obj: Mapping[str, Any]) -> Iterator[FieldError]:
    """A lease lasts for a while; its transitions are counted up from zero."""
    spec = obj.get("spec") or {}
    if (seconds := spec.get("leaseDurationSeconds")) is not None and seconds <= 0:
        yield invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    yield from nonnegative(spec, "spec", "leaseTransitions")
    if spec.get("preferredHolder") and not spec.get("strategy"):
        yield forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")
