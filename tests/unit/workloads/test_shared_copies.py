"""Copies of artifacts that pods share: each file is downloaded once, whoever dies on the way; what was damaged is
mended; what nobody uses makes room; and a volume that cannot be used costs a download, not the run."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import shutil
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.support.patience import SECONDS, until

from fabula_api.artifact import Manifest
from fabula_workloads.runtime import shared_copies
from fabula_workloads.runtime.artifact import add_parts, commit, require_manifest
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.file_store import FileStore
from fabula_workloads.runtime.local_copy import fetched

FILES = {
    "train.jsonl": b"{}\n" * 1000,
    "images/a.png": b"picture" * 1000,
    "adapter_model.safetensors": b"weights" * 1000,
}
SIZE = sum(map(len, FILES.values()))


class Elsewhere(FileStore):
    """A folder that is not on this machine, as far as readers can tell."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder.as_uri())
        self.uri = f"s3://bucket/{folder.name}"
        self.downloads: list[str] = []

    def download(self, path: str, local: Path) -> None:
        self.downloads.append(path)
        super().download(path, local)


def made(folder: Path, files: dict[str, bytes] = FILES) -> tuple[Elsewhere, Manifest]:
    store = FileStore(folder.as_uri())
    return Elsewhere(folder), commit(store, kind="dataset", parts=add_parts(store, files.items()))


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FABULA_ARTIFACT_CACHE", str(tmp_path / "volume" / "artifacts"))
    monkeypatch.setattr(shared_copies, "_held", {})
    return tmp_path / "volume" / "artifacts"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


class Slow(Elsewhere):
    """Says what it does, and waits in the middle of each download until the file `go` is there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "dataset")
        self.folder = folder

    def say(self, word: str, path: str) -> None:
        with (self.folder / "said").open("a") as file:
            file.write(f"{os.getpid()} {word} {path}\n")

    def download(self, path: str, local: Path) -> None:
        local.parent.mkdir(parents=True, exist_ok=True)
        half = local.parent / f".{local.name}.{uuid.uuid4().hex}"
        half.write_bytes(b"half")
        self.say("begins", path)
        while not (self.folder / "go").exists():
            time.sleep(0.02)
        half.unlink()
        super().download(path, local)
        self.say("has", path)


def fetch(folder: Path, scratch: Path, shared: Path) -> None:
    """What each of the eight does."""
    os.environ["FABULA_ARTIFACT_CACHE"] = str(shared)
    store = Slow(folder)
    store.say("got", str(fetched(store, require_manifest(store), scratch)))


def test_of_eight_processes_one_fetches_and_those_that_die_hand_it_on(tmp_path: Path, shared: Path, own: Path) -> None:
    made(tmp_path / "dataset")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    started = [processes.Process(target=fetch, args=(tmp_path, own, shared)) for _ in range(8)]
    for process in started:
        process.start()
    group = {process.pid: process for process in started}

    def said(word: str) -> list[tuple[int, str]]:
        file = tmp_path / "said"
        lines = [line.split(" ") for line in file.read_text().splitlines()] if file.exists() else []
        return [(int(pid), path) for pid, verb, path in lines if verb == word]

    for dead in range(3):
        until(lambda so_far=dead: len({pid for pid, _ in said("begins")}) > so_far, "a process that fetches")
        (pid,) = {pid for pid, _ in said("begins")} & group.keys()
        group[pid].kill()
        group.pop(pid).join(SECONDS)
    (tmp_path / "go").touch()
    for process in group.values():
        process.join(SECONDS)
        assert process.exitcode == 0
    ((_, place), *rest) = said("got")
    assert {path for _, path in rest} == {place} and len(rest) == 4
    assert Path(place).parent == shared
    assert Counter(path for _, path in said("has")) == dict.fromkeys(FILES, 1)
    assert {str(file.relative_to(place)) for file in Path(place).rglob("*") if file.is_file()} == FILES.keys()
    assert not list(own.iterdir()), "nothing lies in a pod's own folder"


def test_a_second_run_over_the_same_artifact_downloads_nothing(tmp_path: Path, shared: Path, own: Path) -> None:
    store, manifest = made(tmp_path / "dataset")
    folder = fetched(store, manifest, own)
    assert sorted(store.downloads) == sorted(FILES)
    other, same = made(tmp_path / "the-same-elsewhere")
    assert fetched(other, same, own, but_pictures=True) == folder
    assert not other.downloads


@pytest.mark.parametrize("damage", [b"[]\n" * 1000, b"short", None])
def test_a_copy_that_was_damaged_is_mended(tmp_path: Path, shared: Path, own: Path, damage: bytes | None) -> None:
    store, manifest = made(tmp_path / "dataset")
    file = fetched(store, manifest, own) / "train.jsonl"
    store.downloads.clear()
    file.write_bytes(damage) if damage else file.unlink()
    fetched(store, manifest, own)
    assert store.downloads == ["train.jsonl"]
    assert file.read_bytes() == FILES["train.jsonl"]


def test_what_was_altered_in_the_store_is_refused_and_what_somebody_planted(
    tmp_path: Path, shared: Path, own: Path
) -> None:
    store, manifest = made(tmp_path / "dataset")
    store.write("train.jsonl", b"[]\n" * 1000)
    with pytest.raises(InputInvalid, match=r"s3://bucket/dataset/train.jsonl has changed"):
        fetched(store, manifest, own)
    store.write("train.jsonl", FILES["train.jsonl"])
    folder = fetched(store, manifest, own)
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(InputInvalid, match=r"pytorch_model.bin is no part of the artifact"):
        fetched(store, manifest, own)


def test_a_picture_that_its_reader_looks_at_himself_may_be_missing(tmp_path: Path, shared: Path, own: Path) -> None:
    store, manifest = made(tmp_path / "dataset")
    store.delete("images/a.png")
    folder = fetched(store, manifest, own, but_pictures=True)
    assert (folder / "train.jsonl").exists()
    with pytest.raises(InputInvalid, match=r"images/a.png does not exist"):
        fetched(store, manifest, own)


def test_what_nobody_uses_makes_room_the_longest_unused_first(
    tmp_path: Path, shared: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(folder: Path) -> Any:
        used = sum(file.stat().st_size for file in shared.rglob("*") if file.is_file())
        return shutil._ntuple_diskusage(4 * SIZE, used, 4 * SIZE - used)

    monkeypatch.setattr(shutil, "disk_usage", free)
    copies = []
    for number in range(4):
        store, manifest = made(tmp_path / f"dataset-{number}", {**FILES, "number": str(number).encode()})
        copies.append(fetched(store, manifest, own) if number < 3 else None)
    used, old, new = (copy for copy in copies if copy)
    shared_copies._held.clear()  # their processes have ended, but for one
    for second, copy in enumerate((used, old, new)):
        os.utime(f"{copy}.kept", (second, second))
    with Path(f"{used}.kept").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        fourth = fetched(store, manifest, own)
    assert [copy.exists() for copy in (used, old, new, fourth)] == [True, False, True, True]
    assert not list(shared.glob(".going-*"))


@pytest.mark.parametrize("trouble", ["no room", "no locks", "not writable"])
def test_a_volume_that_cannot_be_used_costs_a_download_and_is_told(
    tmp_path: Path, shared: Path, own: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    trouble: str,
) -> None:  # fmt: skip
    store, manifest = made(tmp_path / "dataset")
    if trouble == "no room":
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    elif trouble == "no locks":

        def flock(*_: object) -> None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        monkeypatch.setattr(fcntl, "flock", flock)
    else:
        shared.parent.mkdir(exist_ok=True)
        shared.write_bytes(b"a file")
    folder = fetched(store, manifest, own)
    assert folder.parent == own / "artifacts"
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert "cannot be used" in caplog.text and "this pod fetches its own" in caplog.text


def test_without_a_shared_volume_each_pod_has_its_own(tmp_path: Path, own: Path) -> None:
    store, manifest = made(tmp_path / "dataset")
    assert fetched(store, manifest, own).parent == own / "artifacts"
    assert json.loads(store.read("manifest.json"))["digest"] == manifest.digest
