"""One spelling for each place, and no path that leads out of the folder it seems to be in."""

from __future__ import annotations

import os
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.uri import path_problem, resolve_uri, uris_of

ROOT = "file:///artifacts"
_SEGMENTS = st.lists(
    st.text(st.sampled_from("ab.% /~+\u00e9"), min_size=1, max_size=5), min_size=1, max_size=4
)  # what shells and browsers write differently


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("data/x", "file:///artifacts/data/x"),
        ("data/x/", "data/x"),
        ("file:///artifacts//data/x", "data/x"),
        ("file:///artifacts/data/%78", "data/x"),
        ("my data", "file:///artifacts/my%20data"),
    ],
)
def test_two_spellings_of_a_place_are_one(one: str, other: str) -> None:
    assert resolve_uri(one, ROOT) == resolve_uri(other, ROOT)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("../up", "goes up"),
        ("a/../../up", "goes up"),
        ("a/%2e%2e/up", "percent-encoded"),
        ("a%20b", "percent-encoded"),
        ("a/./b", "empty part"),
        ("a//b", "empty part"),
        ("a\nb", "control character"),
        ("file:///artifacts/../etc", "goes up"),
        ("file:///artifacts/%2e%2e/etc", "goes up"),
        ("file:///artifacts/%252e%252e/etc", "percent-encoded"),
        ("s3://bucket/../other", "goes up"),
        ("s3://bucket//x", "empty part"),
        ("file://host/x", "names no folder"),
        ("gs://bucket/x", "scheme"),
        ("/etc/passwd", "no scheme"),
    ],
)
def test_what_could_lead_elsewhere_is_refused_in_words(uri: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        resolve_uri(uri, ROOT)


@given(st.one_of(st.text(max_size=40), _SEGMENTS.map("/".join)), st.sampled_from([ROOT, "s3://bucket/root"]))
def test_what_is_resolved_stays_below_the_root_and_resolves_to_itself(uri: str, root: str) -> None:
    for spelled in (uri, f"file:///{uri}"):
        try:
            found = resolve_uri(spelled, root)
        except ValueError:
            continue
        assert resolve_uri(found, root) == found
        path = unquote(found.removeprefix("file://")) if found.startswith("file://") else found
        assert os.path.normpath(path) == path or found.startswith("s3://")
        assert "://" in uri or spelled is not uri or found.startswith(f"{root}/")


@pytest.mark.parametrize("path", ["a/b.txt", "a b", "50%", "%41", "\u00e9"])
def test_plain_paths_are_sound(path: str) -> None:
    assert path_problem(path) is None


def test_every_place_that_a_spec_names_is_known_by_its_field() -> None:
    spec = FineTuneRunSpec.model_validate({"dataset": {"uri": "d"}, "model": {"uri": "m"}, "output": {"uri": "o"}})
    assert dict(uris_of(spec)) == {"dataset.uri": "d", "model.uri": "m", "output.uri": "o"}
