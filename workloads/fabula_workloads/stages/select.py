"""Stage `select`: the picture sequences that every arm gets, chosen once, copied, and freed of camera and GPS data."""

from __future__ import annotations

import json
import logging
from collections import Counter

from fabula_api.artifact import Part
from fabula_api.eval_run import EvalRunSpec, Samples
from fabula_api.status import Lineage
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid, NotFound
from fabula_workloads.runtime.store import Store, open_store, split_uri
from fabula_workloads.sequences.choice import Sequence, choose
from fabula_workloads.sequences.directories import read_directories
from fabula_workloads.sequences.photo import UnreadablePhoto, bare_jpeg
from fabula_workloads.sequences.vist import read_vist

_log = logging.getLogger(__name__)


def run(context: StageContext) -> StageResult:
    """Choose up to `samples.count` sequences and commit them as an artifact of kind `sample-set`.

    Fewer than `count` are taken as they are: the counts and the report say how many there were. None is InputInvalid.
    """
    spec = context.config.spec
    if not isinstance(spec, EvalRunSpec):
        raise ConfigInvalid(f"stage select belongs to an EvalRun, not to a {context.config.run.kind}")
    store, sequences, tally = _read(context, spec.samples)
    parts: list[Part] = []
    lines: list[str] = []
    chosen = choose(sequences, seed=spec.samples.seed, skipped=tally)
    while len(lines) < spec.samples.count and (sequence := next(chosen, None)) is not None:
        context.check_stop()
        try:
            pictures = [bare_jpeg(store.read(path)) for path in sequence.pictures]
        except (UnreadablePhoto, NotFound):
            tally["sequence/skipped/PhotoUnreadable"] += 1
            continue
        sample = sequence.sample_id(len(lines) + 1, spec.samples.count)
        paths = [f"pictures/{sample}/image_{number}.jpg" for number in range(1, len(pictures) + 1)]
        parts += [add_part(context.store, path, data) for path, data in zip(paths, pictures, strict=True)]
        record = {"id": sample, "images": paths, **({"story": sequence.story} if sequence.story else {})}
        lines.append(json.dumps(record, ensure_ascii=False))
        context.reporter.update(done=len(lines), total=spec.samples.count)
    if not lines:
        raise InputInvalid(f"samples.uri: {store.uri} holds no usable sequence: {_why(tally)}")
    tally["sequence/ok"] = len(lines)
    parts.append(add_part(context.store, "samples.jsonl", ("\n".join(lines) + "\n").encode()))
    if len(lines) < spec.samples.count:
        _log.warning("%d sequences were asked for, %d are usable: %s", spec.samples.count, len(lines), _why(tally))
    counts = {name: float(count) for name, count in sorted(tally.items())}
    context.reporter.update(done=len(lines), total=len(lines), counts=counts)
    manifest = commit(
        context.store,
        kind="sample-set",
        parts=parts,
        counts=counts,
        lineage=[Lineage(name="samples", uri=context.resolve(spec.samples.uri))],
        details={"format": spec.samples.format, "asked": spec.samples.count, "seed": spec.samples.seed},
        attempt=context.config.attempt,
    )
    lineage = [Lineage(name="samples", uri=context.store.uri, digest=manifest.digest)]
    return StageResult(artifact=manifest, counts=counts, lineage=lineage)


def _read(context: StageContext, samples: Samples) -> tuple[Store, list[Sequence], Counter[str]]:
    uri = context.resolve(samples.uri)
    if samples.format == "directories":
        store = open_store(uri)
        return (store, *read_directories(store))
    # The annotations may be named themselves; the pictures are then looked for beside them.
    folder, name = split_uri(uri) if uri.endswith(".json") else (uri, None)
    store = open_store(folder)
    return (store, *read_vist(store, name))


def _why(tally: Counter[str]) -> str:
    skipped = [f"{count} {name.rpartition('/')[2]}" for name, count in sorted(tally.items()) if name != "sequence/ok"]
    return ", ".join(skipped) or "there is none"
