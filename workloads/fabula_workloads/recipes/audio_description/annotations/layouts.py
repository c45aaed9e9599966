"""The published layouts, as they lie on disk. Fields are found by name in any spelling that was published.

Character records are read by name: their order differs between files, and one read by position takes an actor for a
role.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field


def _time(value: int | float | str) -> int | float | str:
    """As it was written: a bank of clips has it in the names of its entries."""
    if not math.isfinite(float(value)):
        raise ValueError("it is no time")
    return value


Number = Annotated[int | float | str, AfterValidator(_time)]


def _only(value: Any) -> Any:
    """MAD lists what was before, the last one first; the others have one record."""
    if isinstance(value, list):
        return value[0] if value else None
    return value or None


def _names(*spellings: str) -> Any:
    return AliasChoices(*spellings)


class Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class CharacterRecord(Record):
    id: str = Field(validation_alias=_names("id", "imdb_id", "nm_id"), min_length=1)
    name: str | None = Field(None, validation_alias=_names("name", "actor"))
    role: str | None = Field(None, validation_alias=_names("role", "character"))
    short_name: str | None = Field(None, validation_alias=_names("char_in_ad", "short_name"))


class Context(Record):
    start: Number
    end: Number
    ad: str = Field(validation_alias=_names("ad", "AD", "text"))


class Annotation(Record):
    """One description of any layout; fields that a layout lacks stay empty."""

    start: Number
    end: Number
    ad: str = Field(validation_alias=_names("ad", "AD", "text"), min_length=1)
    context: Annotated[Context | None, BeforeValidator(_only)] = Field(
        None, validation_alias=_names("context", "content")
    )
    film: str | None = Field(None, validation_alias=_names("movie_id", "movie", "film"))
    clip: str | None = Field(None, validation_alias=_names("key_name", "keyname", "clip"))
    characters: list[CharacterRecord] | None = Field(None, validation_alias=_names("char", "chars"))
    names: list[str] | None = Field(None, validation_alias=_names("char_in_ad", "chars_in_ad"))
    candidates: list[CharacterRecord] | None = Field(None, validation_alias=_names("char_pred", "chars_pred"))
    chosen: list[CharacterRecord] | None = Field(None, validation_alias=_names("prob", "char_prob"))
    scores: list[float] | None = Field(None, validation_alias=_names("prob_data", "scores"))
    in_ad: list[CharacterRecord] | None = Field(None, validation_alias=_names("ad_chars", "ad_characters"))
    chosen_in_ad: list[CharacterRecord] | None = Field(None, validation_alias=_names("ad_chars_in_chars"))
