"""What was altered or planted is refused by name, wherever it is read; what was committed is taken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.stage_context import KEY, stage_context

from fabula_api.artifact import MANIFEST, Manifest, Part, artifact_digest
from fabula_workloads.runtime import entry
from fabula_workloads.runtime.artifact import add_parts, commit, read_manifest, require_manifest
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.local_copy import fetched
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store
from fabula_workloads.runtime.verified import SPOT_CHECKED, verify

FILES = {"train.jsonl": b"{}\n", "images/a.png": b"picture", "model.safetensors": b"weights"}


def made(store: Store, kind: str = "dataset", files: dict[str, bytes] = FILES, key: str | None = KEY) -> Manifest:
    return commit(store, kind=kind, parts=add_parts(store, files.items()), key=key)


def rewritten(store: Store, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads(store.read(MANIFEST))
    change(manifest)
    store.write(MANIFEST, json.dumps(manifest).encode())


ALTERATIONS: dict[str, tuple[Callable[[Store], object], str]] = {
    "a part of the same size": (lambda store: store.write("train.jsonl", b"[]\n"), "train.jsonl has changed"),
    "a longer part": (lambda store: store.write("train.jsonl", b"{} \n"), "train.jsonl has 4 bytes, but 3"),
    "a lost part": (lambda store: store.delete("images/a.png"), r"images/a.png is not there"),
    "a picture": (lambda store: store.write("images/a.png", b"PICTURE"), r"images/a.png has changed"),
    "the digest": (
        lambda store: rewritten(store, lambda manifest: manifest.update(digest="sha256:" + "f" * 64)),
        "says that its digest is sha256:f+, but its parts come to",
    ),
    "a hash in the manifest": (
        lambda store: rewritten(store, lambda manifest: manifest["parts"][0].update(sha256="f" * 64)),
        "but its parts come to",
    ),
    "the kind": (
        lambda store: rewritten(store, lambda manifest: manifest.update(kind="adapter")), "but its parts come to",
    ),
}  # fmt: skip


READERS: dict[str, Callable[[Store, Path], object]] = {
    "verified where it is": lambda store, cache: verify(store, require_manifest(store), cache),
    "fetched": lambda store, cache: fetched(store, require_manifest(store), cache),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
@pytest.mark.parametrize("reader", READERS)
def test_what_was_altered_is_refused_by_name(store: Store, tmp_path: Path, alteration: str, reader: str) -> None:
    made(store)
    change, words = ALTERATIONS[alteration]
    change(store)
    if reader == "fetched":  # what is on disk is measured first, what is downloaded is hashed
        words = rf"{words}|has changed|does not exist|is not there"
    with pytest.raises(InputInvalid, match=words):
        READERS[reader](store, tmp_path)


def test_pictures_are_spared_for_who_looks_at_each_of_them(store: Store, tmp_path: Path) -> None:
    manifest = made(store)
    store.delete("images/a.png")
    folder = fetched(store, manifest, tmp_path, but_pictures=True)
    assert (folder / "train.jsonl").read_bytes() == FILES["train.jsonl"]
    store.write("train.jsonl", b"[]\n")
    with pytest.raises(InputInvalid, match=r"has changed"):
        fetched(store, manifest, tmp_path / "other", but_pictures=True)


def test_what_was_committed_is_fetched_whole(store: Store, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    manifest = made(store)
    for _ in range(2):
        folder = fetched(store, manifest, cache)
        assert {path: (folder / path).read_bytes() for path in FILES} == FILES


def test_a_file_that_no_manifest_names_is_refused_where_a_loader_could_find_it(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    manifest = made(store)
    for beside in ("logs/attempt-1/rank-0.log", "checkpoints/step-000001/x", ".DS_Store"):
        store.write(beside, b"x")
    verify(store, manifest, tmp_path / "cache")
    store.write("validation.jsonl", b"{}\n")
    with pytest.raises(InputInvalid, match=r"validation.jsonl is no part of the artifact"):
        verify(store, manifest, tmp_path / "cache")


def test_of_many_pictures_some_are_hashed_and_all_are_measured(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    pictures = {f"images/{number:04d}.png": b"%04d" % number for number in range(SPOT_CHECKED + 100)}
    manifest = made(store, files=pictures)
    verify(store, manifest, tmp_path)
    for path in pictures:
        store.write(path, b"xxxx")
    with pytest.raises(InputInvalid, match="has changed"):
        verify(store, manifest, tmp_path)
    store.write("images/0000.png", b"longer")
    with pytest.raises(InputInvalid, match=r"0000.png has 6 bytes"):
        verify(store, manifest, tmp_path)


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a/%2e%2e/b", "a//b"])
def test_a_manifest_that_leads_elsewhere_is_no_manifest(tmp_path: Path, path: str) -> None:
    store = open_store(tmp_path.as_uri())
    part = Part.model_construct(path=path, size=1, sha256="0" * 64)
    manifest = {"kind": "x", "digest": artifact_digest("x", [part]), "parts": [part.model_dump()]}
    store.write(MANIFEST, json.dumps(manifest).encode())
    with pytest.raises(InputInvalid, match=r"no path below the artifact"):
        read_manifest(store)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "store").mkdir()
    os.symlink(tmp_path / "secret", tmp_path / "store" / "link")
    os.symlink(tmp_path, tmp_path / "store" / "folder")
    (tmp_path / "store" / "own").write_bytes(b"own")
    os.symlink("own", tmp_path / "store" / "inside")
    store = open_store((tmp_path / "store").as_uri())
    for path in ("link", "folder/secret"):
        with pytest.raises(InputInvalid, match="leads out of"):
            store.read(path)
    assert store.read("inside") == b"own"


SPEC = {"source": {"uri": "in"}, "images": {"provider": "none"}}


def reuse(root: Path, kind: str, key: str | None, change: Callable[[Store], object] = lambda store: None) -> Any:
    context: StageContext = stage_context(root, "DatasetBuild", "assemble", SPEC, "out")
    made(context.store, kind, key=key)
    change(context.store)
    return entry._reuse(context)


@pytest.mark.parametrize(
    ("kind", "key", "change", "words"),
    [
        ("adapter", KEY, None, "of kind adapter, where this stage makes dataset"),
        ("dataset", "sha256:" + "1" * 64, None, "committed by other work"),
        ("dataset", None, None, "committed by other work"),
        ("dataset", KEY, ALTERATIONS["a part of the same size"][0], "train.jsonl has changed"),
    ],
)
def test_what_a_stage_did_not_make_is_not_reused(
    tmp_path: Path, kind: str, key: str | None, change: Callable[[Store], object] | None, words: str
) -> None:
    with pytest.raises(InputInvalid, match=words):
        reuse(tmp_path, kind, key, change or (lambda store: None))


def test_what_it_made_is_reused(tmp_path: Path) -> None:
    found = reuse(tmp_path, "dataset", KEY)
    assert found.reused
    assert found.artifact.uri.endswith("/out")
