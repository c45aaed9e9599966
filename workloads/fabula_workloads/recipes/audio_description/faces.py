"""Exemplars of all characters of a build: those that were published, and those that were found in one's own films."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fabula_workloads.recipes.audio_description.annotations.rows import Row
from fabula_workloads.recipes.audio_description.films.records import Embedded
from fabula_workloads.recipes.audio_description.films_of import item_of
from fabula_workloads.recipes.audio_description.ingest import EXEMPLARS
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.runtime.store import Store


def faces_of(context: StageContext, narration: Store, rows: Iterable[Row]) -> dict[str, Any]:
    """By the key that characters of rows have; (1, width) or (features, width)."""
    from safetensors.numpy import load

    faces: dict[str, Any] = dict(load(narration.read(EXEMPLARS)))
    if not any(given.name == "embed" for given in context.config.inputs):
        return faces
    store = context.open_input("embed")
    films = {item_of(row): row for row in rows}
    for item, embedded in Outcomes(store, Embedded).items():
        film = films.get(item)
        if film is not None and embedded.faces is not None:
            seen = load(store.read(embedded.faces))
            faces |= {f"{film.source}/{film.film}_{person}": face for person, face in seen.items()}
    return faces
