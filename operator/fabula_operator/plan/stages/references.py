"""Runs that a run names: which they are, whether they are ready, and the inputs they give once they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from fabula_api.base import camel
from fabula_api.externals import External, externals
from fabula_api.recipes import Kind, Stage, named_of, recipes
from fabula_api.specs import DEFAULT, PARAMETERS
from fabula_api.status import Lineage
from fabula_api.uri import resolve_uri
from fabula_api.worker import Spec, StageInput
from fabula_operator.plan.seen.observed import Observed, Reference, Waiting


def named_runs(kind: Kind, spec: Mapping[str, object]) -> set[tuple[Kind, str]]:
    """The runs that a spec on the wire names, read leniently since the spec may be invalid."""
    recipe = recipes().get(str(spec.get("recipe", DEFAULT)))
    block = camel(recipe.block) if recipe is not None else PARAMETERS
    if block not in spec and PARAMETERS in spec:
        spec = {**spec, block: spec[PARAMETERS]}
    return {
        (named.made_by, name)
        for named in named_of(kind, recipe)
        for source in _on_the_wire(spec, named.path)
        if isinstance(source, Mapping) and isinstance(name := source.get("ref"), str) and name
    }


@cache
def names_runs(kind: Kind) -> bool:
    """Whether a run of the kind may name any, under some recipe that is installed."""
    return any(named_of(kind, recipe) for recipe in recipes().values())


def _on_the_wire(value: object, path: str) -> Iterator[object]:
    """What is at a dotted path, in each entry of the lists on it; nothing where the value is of another shape."""
    if not isinstance(value, Mapping):
        return
    head, _, rest = path.partition(".")
    below = value.get(head.removesuffix("[]"))
    entries = below if head.endswith("[]") and isinstance(below, list) else [below]
    for entry in entries:
        yield from _on_the_wire(entry, rest) if rest else (entry,)


def resolve_externals(seen: Observed, spec: Spec) -> list[Lineage] | Waiting:
    """Lineage entries of every external, with the digests that are known, or the first thing to wait for.

    What a started run reads stays what it was when it started, even if the run that made it changes meanwhile.
    """
    status = seen.run.status
    started = status.started_at is not None and status.finished_at is None
    recorded = {entry.name: entry for entry in status.lineage}
    lineage: list[Lineage] = []
    for external in externals(spec):
        if external.ref is None:
            place = _place(external, seen.environment.artifact_root)
            lineage.append(Lineage(name=external.name, uri=place, digest=external.digest))
            continue
        assert external.made_by is not None
        run = f"{external.made_by}/{external.ref}"
        reference = seen.references.get((external.made_by, external.ref))
        entry = recorded.get(external.name)
        known = entry if entry and entry.run == run and entry.digest else None
        if known and (started or reference is None or not reference.ready):
            lineage.append(Lineage(name=external.name, uri=known.uri, digest=known.digest, run=run))
        elif reference is not None and reference.ready:
            lineage.append(Lineage(name=external.name, uri=reference.uri, digest=reference.digest, run=run))
        else:
            return _wait(external, reference)
    return lineage


def _place(external: External, root: str) -> str | None:
    """Folder of what no run makes; of a model on the Hub, its name there."""
    if external.source.uri is not None:
        return resolve_uri(external.source.uri, root)
    return external.model.name if external.model is not None else None


def _wait(external: External, reference: Reference | None) -> Waiting:
    """Why it is not ready. What somebody has to mend is called by another reason than what only takes time."""
    what = "Dataset" if external.made_by == "DatasetBuild" else "Adapter"
    name = f"{external.made_by} {external.ref}"
    if reference is None or not reference.exists:
        return Waiting(f"WaitingFor{what}", f"{name} does not exist yet")
    if reference.state == "Failed":
        why = f" ({reference.reason})" if reference.reason else ""
        message = f"{name} has failed{why}; this run goes on once it has been mended and has succeeded"
        return Waiting(f"{what}Failed", message, stalled=True)
    if reference.state == "Succeeded" and reference.dry_run:
        message = f"{name} was a dry run, which makes no artifact; this run goes on once its spec.dryRun is false"
        return Waiting(f"{what}IsDryRun", message, stalled=True)
    if reference.state == "Succeeded":
        return Waiting(f"{what}Missing", f"{name} has succeeded but names no artifact", stalled=True)
    return Waiting(f"WaitingFor{what}", f"{name} is {reference.state or 'Pending'}")


def with_digests(lineage: list[Lineage], digests: Mapping[str, str]) -> list[Lineage]:
    """The entries, those whose digest was not known with what `resolve` found."""
    return [
        entry.replace(digest=entry.digest or digests.get(entry.name)) if entry.name in digests else entry
        for entry in lineage
    ]


def external_inputs(stage: Stage, arm: str | None, spec: Spec, lineage: list[Lineage]) -> list[StageInput]:
    """The inputs from outside that one stage (of one arm) reads."""
    entries = {entry.name: entry for entry in lineage}
    inputs = []
    for external in externals(spec):
        if external.input in stage.external and external.arm in (None, arm):
            entry = entries[external.name]
            uri = entry.uri or ""
            # Where the content is not known, at least no two places are ever taken for one.
            inputs.append(StageInput(name=external.input, uri=uri, digest=entry.digest or f"uri:{uri}"))
    return inputs
