"""Tables beside the annotations: people by id, titles by film or clip."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fabula_workloads.recipes.audio_description.annotations.layouts import CharacterRecord
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.termination import validation_lines


def read_cast(data: bytes, where: str) -> dict[str, CharacterRecord]:
    """`{id: {name, role, char_in_ad}}`. Raises InputInvalid naming the entry that is none."""
    cast = {}
    for person, record in object_of(data, where).items():
        try:
            cast[person] = CharacterRecord.model_validate({"id": person, **_fields(record)})
        except (ValidationError, TypeError) as error:
            why = "; ".join(validation_lines(error)) if isinstance(error, ValidationError) else str(error)
            raise InputInvalid(f"{where}: {person}: {why}") from None
    return cast


def read_titles(data: bytes, where: str) -> dict[str, str]:
    """`{film or clip: title id}`. Raises InputInvalid for a table by sentence, which cannot tell equal ones apart."""
    table = object_of(data, where)
    for key, title in table.items():
        if " " in key.strip():
            raise InputInvalid(
                f"{where} is by sentence ({key[:40]!r}): equal sentences of two films would get one title. Give a "
                "table from a film's or clip's name (movie_id, key_name) to its title"
            )
        if not isinstance(title, str):
            raise InputInvalid(f"{where}: {key} has a {type(title).__name__} for a title, not a text such as tt0108778")
    return {key: str(title) for key, title in table.items()}


def _fields(record: Any) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise TypeError(f"it is a {type(record).__name__}, not an object with name and role")
    return record


def object_of(data: bytes, where: str) -> dict[str, Any]:
    """The object of a JSON file. Raises InputInvalid for what is none."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputInvalid(f"{where} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise InputInvalid(f"{where} is a {type(content).__name__}, not an object by id")
    return content
