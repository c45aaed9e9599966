"""Stage `resolve` and those that read what it found: content decides, a changed input is refused by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.stage_context import stage_context
from tests.support.worker_process import run_worker_process, worker_config

from fabula_api.externals import unresolved
from fabula_workloads.models.model_folder import model_folder
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.content import content_digest, file_sha256
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid, TryAgain
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.stages import resolve

SPEC: dict[str, Any] = {"dataset": {"uri": "data"}, "model": {"uri": "model"}}


def inputs(root: Path) -> None:
    store = open_store(f"file://{root}/data")
    commit(store, kind="dataset", parts=[add_part(store, "train.jsonl", b"{}\n")])
    for name, data in {"config.json": b"{}", "deep/model.safetensors": b"weights"}.items():
        open_store(f"file://{root}/model").write(name, data)


def look(root: Path, spec: dict[str, Any] = SPEC) -> dict[str, str]:
    return resolve.run(stage_context(root, "FineTuneRun", "resolve", spec, "out")).digests


def test_an_artifact_is_known_by_its_manifest_and_a_folder_by_its_files(tmp_path: Path) -> None:
    inputs(tmp_path)
    found = look(tmp_path)
    manifest = json.loads((tmp_path / "data/manifest.json").read_text())
    assert found.keys() == {"dataset", "model"}
    assert found["dataset"] == manifest["digest"]
    copy = tmp_path / "elsewhere/copy"
    copy.parent.mkdir()
    subprocess.run(["cp", "-r", str(tmp_path / "model"), str(copy)], check=True)
    assert look(tmp_path, SPEC | {"model": {"uri": "elsewhere/copy"}})["model"] == found["model"]


CHANGES: dict[str, Callable[[Path], object]] = {
    "a weight": lambda model: (model / "deep/model.safetensors").write_bytes(b"Weights"),
    "a file more": lambda model: (model / "generation_config.json").write_bytes(b"{}"),
    "a file less": lambda model: (model / "config.json").unlink(),
    "another name": lambda model: (model / "config.json").rename(model / "config2.json"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_changes_the_digest_and_is_refused_where_it_is_read(tmp_path: Path, change: str) -> None:
    inputs(tmp_path)
    before = look(tmp_path)["model"]
    context = stage_context(tmp_path, "FineTuneRun", "train", SPEC, "out", digests={"model": before})
    source = context.config.spec.model  # type: ignore[union-attr]
    assert model_folder(context, source, "model") == tmp_path / "model"
    CHANGES[change](tmp_path / "model")
    assert look(tmp_path)["model"] != before
    with pytest.raises(InputInvalid, match=r"model holds sha256:.* it has changed") as refused:
        model_folder(context, source, "model")
    assert refused.value.reason == "InputChanged"


@given(st.dictionaries(st.sampled_from(["a", "b", "c/d", "c/e"]), st.binary(max_size=3), min_size=1), st.data())
@settings(max_examples=examples(20))
def test_equal_folders_and_only_those_have_one_digest(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], data: st.DataObject
) -> None:
    other = data.draw(st.one_of(st.just(files), st.fixed_dictionaries({name: st.binary(max_size=3) for name in files})))
    digests = []
    for content in (files, other):
        folder = tmp_path_factory.mktemp("folder")
        for name, each in content.items():
            open_store(f"file://{folder}").write(name, each)
        digests.append(content_digest(f"file://{folder}", folder))
    assert (digests[0] == digests[1]) == (files == other)


def test_notes_of_downloads_do_not_count(tmp_path: Path) -> None:
    inputs(tmp_path)
    before = look(tmp_path)
    open_store(f"file://{tmp_path}/model").write(".cache/huggingface/download.lock", b"x")
    assert look(tmp_path) == before


def test_a_large_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"x" * 9_000_000)
    monkeypatch.setattr("fabula_workloads.runtime.content._SETTLED_SECONDS", 0.0)
    first = file_sha256(file, tmp_path)
    (note,) = (tmp_path / "hashes").iterdir()
    note.write_text("from the note")
    assert file_sha256(file, tmp_path) == "from the note"
    stamp = file.stat()
    file.write_bytes(b"y" * 9_000_000)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as one who wants to hide it would
    assert file_sha256(file, tmp_path) not in (first, "from the note")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"dataset": {"uri": "nothing"}}, r"dataset.uri: .*no artifact was committed"),
        ({"dataset": {"uri": "model"}}, r"dataset.uri: .*no artifact was committed"),
        ({"model": {"uri": "nothing"}}, "model.uri: there is no model folder"),
    ],
)
def test_what_is_not_there_is_named_by_its_field(tmp_path: Path, spec: dict[str, Any], words: str) -> None:
    inputs(tmp_path)
    with pytest.raises(InputInvalid, match=words):
        look(tmp_path, SPEC | spec)


def test_it_stops_when_told_to(tmp_path: Path) -> None:
    inputs(tmp_path)
    context: StageContext = stage_context(tmp_path, "FineTuneRun", "resolve", SPEC, "out")
    context.stopping.set()
    with pytest.raises(TryAgain):
        resolve.run(context)


def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="goes up"):
        look(tmp_path, SPEC | {"dataset": {"uri": "../data"}})


def test_one_place_named_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs(tmp_path)
    arms = [{"name": name, "model": {"uri": "model"}} for name in ("a", "b")]
    spec = {"samples": {"uri": "s"}, "arms": arms, "clipModel": {"uri": "model"}}
    context = stage_context(tmp_path, "EvalRun", "resolve", spec, "out")
    asked: list[str] = []
    real = content_digest
    monkeypatch.setattr(resolve, "content_digest", lambda uri, *rest: (asked.append(uri), real(uri, *rest))[1])
    found = resolve.run(context).digests
    assert found.keys() == {one.name for one in unresolved(context.config.spec)}
    assert len(set(found.values())) == len(asked) == 1


def test_it_loads_no_library_of_models() -> None:
    code = "import sys, fabula_workloads.stages.resolve; print({'torch', 'transformers', 'boto3'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_pod_tells_what_it_found_in_its_last_word(tmp_path: Path) -> None:
    inputs(tmp_path)
    run = {"kind": "FineTuneRun", "namespace": "default", "name": "trial", "uid": "1"}
    ended = run_worker_process(tmp_path, worker_config(tmp_path, "resolve", SPEC, run=run))
    assert ended.code == 0, ended.output
    assert ended.result == {"outcome": "Succeeded", "counts": {"input/ok": 2.0}, "digests": look(tmp_path)}


def test_what_people_said_is_known_by_its_files(tmp_path: Path) -> None:
    arms = [{"name": name, "model": {"uri": "m", "digest": f"sha256:{'1' * 64}"}} for name in ("a", "b")]
    judges = [{"name": "j", "model": "anthropic.claude-sonnet-4-5"}]
    spec = {"samples": {"uri": "x"}, "arms": arms, "metrics": ["words"], "judges": judges}
    context = stage_context(tmp_path, "EvalRun", "resolve", {**spec, "humanVerdicts": {"uri": "people"}}, "out")
    with pytest.raises(InputInvalid, match=r"humanVerdicts.uri: there is no folder with files"):
        resolve.run(context)
    (tmp_path / "people").mkdir()
    (tmp_path / "people/anna.csv").write_text("sample,arm,versus,verdict\n")
    before = resolve.run(context).digests
    (tmp_path / "people/anna.csv").write_text("sample,arm,versus,verdict\ns1,a,b,tie\n")
    assert before.keys() == {"humanVerdicts"}
    assert resolve.run(context).digests != before
