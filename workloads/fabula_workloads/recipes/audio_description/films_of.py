"""The rows that `ingest` made, and the films that they are of, as ledgers call them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from fabula_workloads.recipes.audio_description.annotations.rows import Clip, Row
from fabula_workloads.recipes.audio_description.ingest import ROWS
from fabula_workloads.runtime.store import Store
from fabula_workloads.text.file_names import file_name


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
    name = file_name(row.film, "film", longest=80)
    return f"{row.source}-{name}-{hashlib.sha256(row.film.encode()).hexdigest()[:8]}"
