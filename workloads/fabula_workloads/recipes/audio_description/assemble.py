"""Stage `assemble`: rows and features become a dataset, which depends on nothing but their content."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fabula_api.status import Lineage
from fabula_api.summary import DatasetSummary
from fabula_workloads.recipes.audio_description.build_of import spec_of
from fabula_workloads.recipes.audio_description.collect import read_rows
from fabula_workloads.recipes.audio_description.dataset.card import card
from fabula_workloads.recipes.audio_description.dataset.choosing import Chosen, by_split, choose
from fabula_workloads.recipes.audio_description.details import PROMPT_VERSION, NarrationDatasetDetails
from fabula_workloads.recipes.audio_description.ingest import KIND
from fabula_workloads.recipes.audio_description.sample import EXEMPLARS, NarrationSample
from fabula_workloads.runtime.artifact import add_parts, commit, sha256_of
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.store import Store


def run(context: StageContext) -> StageResult:
    """The `assemble` stage."""
    spec = spec_of(context)
    block = spec.audio_description
    rows, ingest = context.read_artifact("ingest", KIND)
    collected = context.open_input("collect")
    outcomes = dict(Ledger(collected).items())
    chosen = choose(read_rows(rows), outcomes, block, spec.target.samples)
    samples = [one.sample for one in chosen if one.sample is not None]
    counts = _counts(chosen, samples)
    if not samples:
        raise InputInvalid(f"no row became a sample: {_reasons(chosen)}", "NoSamples")
    splits = by_split(samples, block)
    shape = _shape(samples, outcomes)
    with context.scratch() as scratch:
        files = _files(context, rows, collected, outcomes, chosen, splits, shape, scratch)
        parts = add_parts(context.store, files)
    context.check_stop()
    by_name = {name: len(members) for name, members in splits.items()}
    summary = DatasetSummary(samples_by_split=by_name)
    stages = [Lineage(name=given.name, uri=given.uri, digest=given.digest) for given in context.config.inputs]
    manifest = commit(
        context.store,
        kind="dataset",
        key=context.config.key,
        parts=parts,
        counts=counts,
        lineage=[*ingest.lineage, *stages],
        details=NarrationDatasetDetails(
            recipe=spec.recipe,
            prompt_version=PROMPT_VERSION,
            splits=by_name,
            summary=summary,
            feature_shape=tuple(shape),
        ),
        attempt=context.config.attempt,
    )
    return StageResult(
        artifact=manifest,
        uri=context.store.uri,
        counts={name: float(count) for name, count in counts.items()},
        summary=summary,
        lineage=manifest.lineage,
    )


def _counts(chosen: Sequence[Chosen], samples: Sequence[NarrationSample]) -> dict[str, int]:
    skipped = Counter(one.reason for one in chosen if one.reason)
    counts = {"sample/ok": len(samples)} | {f"sample/skipped/{why}": count for why, count in sorted(skipped.items())}
    return counts | {
        "sample/withPrevious": sum(one.previous is not None and one.previous.clip is not None for one in samples),
        "sample/characters": sum(len(one.characters) for one in samples),
        "description/words": sum(len(one.text.split()) for one in samples),
    }


def _reasons(chosen: Sequence[Chosen]) -> str:
    """The most frequent reasons, each with a row it befell and what would work."""
    first: dict[str, Chosen] = {}
    for one in chosen:
        first.setdefault(one.reason or "", one)
    counts = Counter(one.reason or "" for one in chosen)
    told = []
    for reason, count in counts.most_common(3):
        row = first[reason].row
        told.append(f"{count} for {reason}, such as {row.source}, {row.place} (bank entry {row.clip.entry})")
    hint = "; look at bank.layout, and whether the bank is that of these annotations" if "MissingKey" in counts else ""
    return "; ".join(told) + hint if told else "there are no rows"


def _shape(samples: Sequence[NarrationSample], outcomes: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """Shape of a frame's features. Raises InputInvalid where two films differ."""
    by_path = {outcome["path"]: outcome["shape"] for outcome in outcomes.values() if outcome["path"]}
    first = samples[0]
    for sample in samples:
        if by_path[sample.features] != by_path[first.features]:
            raise InputInvalid(
                f"features of a frame are {by_path[first.features]} in {first.source} (film {first.film}) but "
                f"{by_path[sample.features]} in {sample.source} (film {sample.film}); one dataset has one shape: build "
                "two, or use banks of one model"
            )
    return list(by_path[first.features])


def _files(
    context: StageContext,
    rows: Store,
    collected: Store,
    outcomes: Mapping[str, Mapping[str, Any]],
    chosen: Sequence[Chosen],
    splits: Mapping[str, Sequence[NarrationSample]],
    shape: Sequence[int],
    scratch: Path,
) -> Iterator[tuple[str, bytes | Path]]:
    """(path, content) of every part, made one by one."""
    needed = {sample.features for members in splits.values() for sample in members}
    shards = sorted((o for o in outcomes.values() if o["path"] in needed), key=lambda outcome: str(outcome["path"]))
    for done, outcome in enumerate(shards, 1):
        context.check_stop()
        yield outcome["path"], _shard(collected, outcome, scratch)
        context.reporter.update(done=done, total=len(shards))
    yield EXEMPLARS, rows.read(EXEMPLARS)
    for split, members in splits.items():
        yield f"{split}.jsonl", "".join(sample.model_dump_json() + "\n" for sample in members).encode()
    yield "rows.jsonl", "".join(_told(one) for one in chosen).encode()
    yield "README.md", card(chosen, splits, shape).encode()


def _told(one: Chosen) -> str:
    row = one.row
    told = {"id": row.id, "source": row.source, "place": row.place, "film": row.film, "entry": row.clip.entry,
            "outcome": "used" if one.sample else "skipped", "reason": one.reason}  # fmt: skip
    return json.dumps(told, ensure_ascii=False) + "\n"


def _shard(collected: Store, outcome: Mapping[str, Any], scratch: Path) -> Path:
    """A film's features as they were collected. A film has a file of its own: several are on their way at once."""
    local = scratch / hashlib.sha256(str(outcome["path"]).encode()).hexdigest()
    collected.download(outcome["path"], local)
    with local.open("rb") as file:
        if sha256_of(file) != outcome["sha256"]:
            raise InputInvalid(
                f"{collected.uri}/{outcome['path']} is not the file that the ledger names; delete its outcome to read "
                "the film again"
            )
    return local
