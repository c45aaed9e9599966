"""The published annotation layouts: named fields in every published spelling, and each row accounted for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.narration_files import FIRST, JOEY, ROSS, clips

from fabula_api.recipes.audio_description.build import NarrationSource
from fabula_workloads.recipe_parts.source_rows import Unreadable
from fabula_workloads.recipes.audio_description.annotations.layouts import CharacterRecord
from fabula_workloads.recipes.audio_description.annotations.reading import Tables, read_rows
from fabula_workloads.recipes.audio_description.annotations.rows import Row
from fabula_workloads.recipes.audio_description.annotations.tables import read_cast, read_titles
from fabula_workloads.recipes.audio_description.features.slices import Slice, frames_of
from fabula_workloads.runtime.failures import InputInvalid

NOBODY = Tables({}, {})


def source(layout: str = "tvad", bank: str = "clips", **fields: Any) -> NarrationSource:
    return NarrationSource.model_validate(
        {"name": "one", "format": layout, "annotations": "a.json", "bank": {"uri": "b.h5", "layout": bank}, **fields}
    )


def rows(content: Any, spec: NarrationSource, tables: Tables = NOBODY) -> list[Row | Unreadable]:
    return list(read_rows(json.dumps(content).encode(), spec, tables))


def test_a_clip_of_tv_ad_becomes_a_row() -> None:
    first, alone, _ = rows({"tvad": clips()}, source())
    assert isinstance(first, Row) and isinstance(alone, Row)
    assert (first.film, first.clip.entry) == ("friends_s01e01", f"{FIRST}_17_27")
    assert first.before is not None and first.before.clip.entry == f"{FIRST}_9_16"
    assert first.named == ("Joey",) and alone.before is None


@pytest.mark.parametrize("spelling", ["content", "context"])
def test_what_was_before_is_read_in_either_spelling(spelling: str) -> None:
    row = clips()[0]
    row[spelling] = row.pop("content")
    (found,) = rows({"tvad": [row]}, source())
    assert isinstance(found, Row) and found.before is not None


@pytest.mark.parametrize("turned", [JOEY, dict(reversed(JOEY.items()))], ids=["id, role, name", "name, role, id"])
def test_people_are_read_by_name_and_not_by_position(turned: dict[str, str]) -> None:
    (found,) = rows({"tvad": [clips(char=[turned])[0]]}, source(characters="named"))
    assert isinstance(found, Row)
    assert (found.characters[0].name, found.characters[0].role) == ("Matt LeBlanc", "Joey Tribbiani")


@pytest.mark.parametrize(
    ("choice", "threshold", "expected"),
    [("refined", 0.5, ["Ross"]), ("refined", 0.4, ["Ross", None]), ("refined", 0.0, ["Ross", None]),
     ("candidates", 0.5, ["Ross", None]), ("named", 0.5, [None])],
)  # fmt: skip
def test_who_is_told_of_follows_choice_and_threshold(choice: str, threshold: float, expected: list[str | None]) -> None:
    (found,) = rows({"tvad": clips()[:1]}, source(characters=choice, threshold=threshold))
    assert isinstance(found, Row)
    assert [one.short_name for one in found.characters] == expected


def test_a_candidate_that_was_never_scored_is_not_taken_at_any_threshold() -> None:
    _, alone, _ = rows({"tvad": clips()}, source(threshold=0))
    assert isinstance(alone, Row) and alone.characters == ()


def test_a_record_without_a_short_name_gets_it_from_the_cast() -> None:
    cast = {"nm0001455": CharacterRecord(id="nm0001455", short_name="Joey")}
    (found,) = rows({"tvad": clips()[:1]}, source(characters="named"), Tables(cast, {}))
    assert isinstance(found, Row) and found.characters[0].short_name == "Joey"


def test_mads_training_rows_have_their_film_and_its_own_fields() -> None:
    row = {
        "movie_id": "10142", "start": 1.0, "end": 2.0, "ad": "A man runs.", "char": [ROSS, JOEY], "ad_chars": [JOEY],
        "ad_chars_in_chars": [ROSS], "context": [{"start": 0, "end": 1, "ad": "Rain."}],
    }  # fmt: skip
    spec = source("mad-train", "frames")
    (found,) = rows([row], spec)
    assert isinstance(found, Row) and found.film == "10142" and found.clip.entry == "10142"
    assert [one.exemplar for one in found.characters] == ["10142_nm0001710"]
    assert found.before is not None and found.before.text == "Rain."
    (every,) = rows([row], spec.replace(characters="candidates"))
    assert isinstance(every, Row) and len(every.characters) == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [({"start": "soon"}, "start"), ({"ad": ""}, "ad"), ({"key_name": None}, "it has no key_name"),
     ({"prob_data": [0.5]}, "prob_data has 1 scores for 2 records")],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_told_by_its_place(change: dict[str, Any], why: str) -> None:
    found = rows({"tvad": clips(**change)}, source())
    assert isinstance(found[0], Unreadable) and found[0].place.startswith("row 0") and why in found[0].why
    assert len(found) == 3


@pytest.mark.parametrize(
    ("layout", "content", "told"),
    [("tvad", {"cmdad": []}, "has its rows under 'tvad', and this file has 'cmdad'"),
     ("mad-train", {}, "is a list of rows, and this is a object"), ("mad-eval", [], "is an object of lists of rows")],
)  # fmt: skip
def test_a_file_of_another_layout_is_refused_by_what_it_has(layout: str, content: Any, told: str) -> None:
    with pytest.raises(InputInvalid, match=told):
        rows(content, source(layout, "frames"))


def test_a_choice_that_the_layout_lacks_names_what_it_has() -> None:
    person = [{"id": "nm1", "name": "A", "role": "B"}]
    record = {"start": "1", "end": "2", "ad": "Rain.", "prob": person}
    (found,) = rows({"film": [record]}, source("mad-eval", "frames", characters="candidates"))
    assert isinstance(found, Unreadable)
    assert "it has no char_pred, which characters: candidates asks for; it has what characters: refined" in found.why


def test_titles_by_sentence_are_refused_since_equal_sentences_would_be_one() -> None:
    with pytest.raises(InputInvalid, match="is by sentence"):
        read_titles(json.dumps({"She smiles.": "tt0108778"}).encode(), "TV_ttmapping.json")
    assert read_titles(b'{"friends_s01e01": "tt0108778"}', "titles.json") == {"friends_s01e01": "tt0108778"}


def test_a_cast_that_is_none_is_told_by_person() -> None:
    assert read_cast(b'{"nm1": {"name": "A", "role": "B", "char_in_ad": "C"}}', "c.json")["nm1"].short_name == "C"
    with pytest.raises(InputInvalid, match=r"c.json: nm1: it is a str"):
        read_cast(b'{"nm1": "A"}', "c.json")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(1.2, 3.4, Slice(5, 16)), (4.1, 4.4, Slice(20, 26)), (4.0, 4.0, Slice(20, 21)), (-1, 1, "NegativeTime"),
     (100, 101, "BeyondFilm"), (8, 5, "EmptySlice"), (10.6, 14, Slice(55, 60))],
)  # fmt: skip
def test_frames_of_a_clip(start: float, end: float, expected: object) -> None:
    assert frames_of(start, end, 5.0, 60) == expected


@given(st.floats(-5, 200), st.floats(-5, 200), st.integers(1, 500))
def test_a_slice_is_never_empty_and_never_beyond_the_film(start: float, end: float, frames: int) -> None:
    found = frames_of(start, end, 5.0, frames)
    assert isinstance(found, str) or 0 <= found.start < found.stop <= frames
