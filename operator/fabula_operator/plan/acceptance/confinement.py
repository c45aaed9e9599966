"""Namespaces as boundaries in the artifact store: what a run may read and where it may write, by its spec alone.

A folder's name is no secret, and all namespaces may share one store. So a run reads below its own namespace's folder
and below what the installation shares, and writes below its own. This keeps a spec within bounds, not a pod: whoever
may run a pod with the credentials of the store reaches what they reach.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from fabula_api.externals import externals
from fabula_api.once import once
from fabula_api.shared_spec import ModelSource
from fabula_api.uri import resolve_uri, uris_of
from fabula_api.worker import Spec
from fabula_operator.plan.seen.observed import Observed

_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
OUTPUT = "output.uri"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The places of one namespace, in the one spelling of `resolve_uri`."""

    home: str
    shared: tuple[str, ...]

    @classmethod
    def of(cls, namespace: str, root: str, shared: tuple[str, ...]) -> Bounds:
        """The bounds of a namespace below the artifact root; `shared` are prefixes that every namespace may read."""
        return cls(resolve_uri(namespace, root), tuple(resolve_uri(prefix, root) for prefix in shared))

    def problem(self, place: str, *, written: bool) -> str | None:
        """Why a place is out of bounds; None when it is not."""
        allowed = (self.home,) if written else (self.home, *self.shared)
        if any(place == folder or place.startswith(f"{folder}/") for folder in allowed):
            return None
        may = "write below" if written else "read below"
        return f"{place} is outside of what runs of this namespace may {may}: {', '.join(allowed)}"


def out_of_bounds(seen: Observed, spec: Spec) -> str | None:
    """A sentence naming the first field that leads out of the run's namespace; None where nothing is confined."""
    environment = seen.environment
    if environment.shared is None:
        return None
    root, namespace = environment.artifact_root, seen.run.identity.namespace
    if problem := _spec_out_of_bounds(spec, namespace, root, environment.shared):
        return problem
    bounds = Bounds.of(namespace, root, environment.shared)
    for external in externals(spec):
        named = seen.references.get((external.made_by, external.ref)) if external.made_by and external.ref else None
        if named is not None and named.uri and (problem := bounds.problem(named.uri, written=False)):
            return f"spec: the {external.name} of {external.made_by} {named.name}: {problem}"
    return None


@once(512)
def _spec_out_of_bounds(spec: Spec, namespace: str, root: str, shared: tuple[str, ...]) -> str | None:
    bounds = Bounds.of(namespace, root, shared)
    for field, uri in uris_of(spec):
        if problem := bounds.problem(resolve_uri(uri, root), written=field == OUTPUT):
            return f"spec.{field}: {problem}"
    for field, name in _hub_names(spec, "spec"):
        if not _HUB.fullmatch(name):
            return f"{field}: {name!r} is no name on the Hugging Face Hub; a folder goes into `uri`"
    return None


def _hub_names(value: Any, field: str) -> Iterator[tuple[str, str]]:
    """Every model by name, since a library takes a path for a folder."""
    if isinstance(value, ModelSource):
        if value.name is not None:
            yield f"{field}.name", value.name
    elif isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from _hub_names(getattr(value, name), f"{field}.{info.alias or name}")
    elif isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            yield from _hub_names(entry, f"{field}[{number}]")
