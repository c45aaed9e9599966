"""Samples from what a dataset held out: the usual way, which any recipe has whose dataset has a validation split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.store import Store
from fabula_workloads.runtime.verified import verify
from fabula_workloads.samples.found import FoundSample, Search, fair_draw, sample_name
from fabula_workloads.samples.sample_set import EvaluationSample

SPLIT = "validation.jsonl"


def held_out(search: Search) -> Sequence[FoundSample]:
    """Samples of the validation split of the dataset artifact that `samples.uri` names: pictures, prompt, and as
    reference the answer that was to be learned."""
    asked = search.spec.samples
    store, manifest = search.artifact("dataset")
    verify(store, manifest, search.context.cache, search.context.check_stop)
    lines = fair_draw(_lines(store), asked.count, asked.seed, lambda line: str(line.get("id")))
    return [_sample(store, number, line, search) for number, line in enumerate(lines, 1)]


def _lines(store: Store) -> list[dict[str, Any]]:
    try:
        data = store.read(SPLIT)
    except NotFound:
        raise InputInvalid(
            f"samples.uri: the dataset {store.uri} has no {SPLIT}: it held nothing out; build it with a validation "
            "split, or name another"
        ) from None
    records = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or not record.get("id"):
            raise InputInvalid(f"samples.uri: {store.uri}/{SPLIT} line {number} is no sample: an object with an id")
        records.append(record)
    return records


def _sample(store: Store, number: int, line: dict[str, Any], search: Search) -> FoundSample:
    search.context.check_stop()
    name = sample_name(number, str(line["id"]), digits=4)
    sources = [str(path) for path in line.get("images") or ()]
    paths = [f"pictures/{name}/{place}{_suffix(path)}" for place, path in enumerate(sources, 1)]
    record = EvaluationSample(
        id=name, images=paths, prompt=line.get("prompt"), reference=str(line.get("response") or "")
    )
    return FoundSample(record, [(path, store.read(source)) for path, source in zip(paths, sources, strict=True)])


def _suffix(path: str) -> str:
    return "." + path.rpartition(".")[2].lower() if "." in path.rpartition("/")[2] else ""
