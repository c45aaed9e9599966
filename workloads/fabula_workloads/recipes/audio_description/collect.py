"""Stage `collect`: the features of every clip, film by film, out of banks. A restart reads no film twice."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fabula_workloads.recipes.audio_description.annotations.rows import Clip, Row
from fabula_workloads.recipes.audio_description.build_of import block_of
from fabula_workloads.recipes.audio_description.features.bank import Bank, open_bank
from fabula_workloads.recipes.audio_description.ingest import KIND, ROWS
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.ledger import Ledger, own_items
from fabula_workloads.runtime.store import Store

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def run(context: StageContext) -> StageResult:
    """Read the clips of this shard's films that have no outcome yet."""
    store, _ = context.read_artifact("ingest", KIND)
    films = by_film(read_rows(store))
    banks = {source.name: source.bank for source in block_of(context).sources}
    ledger = Ledger(context.store)
    own = own_items(sorted(films), context.shard, context.config.shards)
    finished = ledger.ids()
    counts: Counter[str] = Counter()
    for done, item in enumerate(own, 1):
        context.check_stop()
        source, clips = films[item]
        if item in finished:
            outcome = ledger.get(item) or {}
        else:
            with open_bank(context.resolve(banks[source].uri), banks[source]) as bank, context.scratch() as scratch:
                outcome = _collected(context, item, clips, bank, scratch / "features.safetensors")
            ledger.put(item, outcome)
        counts["film/ok"] += 1
        counts["clip/ok"] += outcome["clips"]
        for reason in outcome["rejected"].values():
            counts[f"clip/skipped/{reason}"] += 1
        context.reporter.update(done=done, total=len(own), counts=dict(counts))
    return StageResult(counts={name: float(count) for name, count in sorted(counts.items())})


def read_rows(store: Store) -> list[Row]:
    """The rows that `ingest` made."""
    return [Row.model_validate_json(line) for line in store.read(ROWS).splitlines()]


def by_film(rows: Iterable[Row]) -> Mapping[str, tuple[str, list[Clip]]]:
    """(source, clips) of each film by its item in the ledger; each clip once, those that only come before too."""
    films: dict[str, tuple[str, dict[str, Clip]]] = defaultdict(lambda: ("", {}))
    for row in rows:
        item = item_of(row)
        clips = films[item][1]
        for clip in (row.clip, row.before.clip if row.before else None):
            if clip is not None:
                clips.setdefault(clip.key, clip)
        films[item] = (row.source, clips)
    return {item: (source, list(clips.values())) for item, (source, clips) in films.items()}


def item_of(row: Row) -> str:
    """A film's id in the ledger; two films never share one."""
    safe = _UNSAFE.sub("-", row.film)[:80].strip("-.") or "film"
    return f"{row.source}-{safe}-{hashlib.sha256(row.film.encode()).hexdigest()[:8]}"


def _collected(context: StageContext, item: str, clips: list[Clip], bank: Bank, file: Path) -> dict[str, Any]:
    """Store a film's features; the outcome for the ledger."""
    from safetensors.numpy import save_file

    features: dict[str, Any] = {}
    rejected: dict[str, str] = {}
    for clip in clips:
        found = bank.read(clip)
        if isinstance(found, str):
            rejected[clip.key] = found
        else:
            features[clip.key] = found
    shapes = {tuple(array.shape[1:]) for array in features.values()}
    if len(shapes) > 1:
        raise InputInvalid(f"{item}: its clips have features of different shapes: {sorted(shapes)}; mend the bank")
    outcome: dict[str, Any] = {"outcome": "ok", "clips": len(features), "rejected": rejected, "path": None}
    if features:
        save_file(features, file)
        path = f"features/{item}.safetensors"
        context.store.upload(file, path)
        with file.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        outcome |= {"path": path, "sha256": sha256, "shape": list(shapes.pop())}
    return outcome
