"""The films that rows are of, as ledgers call them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from fabula_workloads.recipes.audio_description.annotations.rows import Clip, Row
from fabula_workloads.text.file_names import item_name


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
    return item_name(row.source, row.film, "film")
